"""Patterns have a cost that is known before they are compiled, and a feed may have so much of it."""

import pytest

from tests.checks.judging import faults
from tidemill.checks.pattern_cost import MAX_COST, pattern_cost
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed

HEAD = """name = "pumps"
[time]
format = "received"
[tags.site]
path = "$.site"
[fields.v]
path = "$.v"
"""


def rules(count: int, pattern: str) -> str:
    rule = f'[[rules]]\ncheck = "pattern"\noptions = {{ tag = "site", pattern = \'{pattern}\' }}\n'
    return HEAD + rule * count


@pytest.mark.parametrize(
    ("cheap", "dear", "times"),
    [
        ("a", "a{50}", 50),
        ("ab", "(ab){50}", 33),
        ("a", "(?:a{5,10}){10}", 90),
        (r"\w", r"\w{ 50 }", 49),
        (r"\w", r"\w{1,50}?", 49),
        (r"\w", r"\w{50,}", 49),
        (r"\w", r"(?i:(\w)){50}", 49),
        (r"[\w-]", r"[]\w-]{50}", 49),
        (r"[\w-]", r"[^][x]\w-]{50}", 49),
        (r"\pN", r"\pN{50}", 50),
        (r"\p{Greek}", r"\p{Greek}{5}{10}", 49),
        (r"\\", r"\\{50}", 25),
    ],
)
def test_a_repetition_costs_what_it_repeats(cheap: str, dear: str, times: int) -> None:
    assert pattern_cost(dear) >= times * pattern_cost(cheap)


def test_what_feeds_write_costs_little() -> None:
    for pattern in ("P-[0-9]{4}", "[A-Z]{2,3}-[0-9]{1,6}", "(north|south)-[a-z0-9_-]{1,64}", r"\w+-\d{4}"):
        assert pattern_cost(pattern) < MAX_COST / 30


def test_a_pattern_that_costs_too_much_is_not_compiled() -> None:
    [(option, sentence)] = faults("pattern", {"tag": "site", "pattern": r"(\w{99}x){99}"})
    assert option == "pattern"
    assert f"may cost {MAX_COST} units" in sentence


def test_free_spacing_in_which_counts_can_hide_is_not_taken() -> None:
    [(_, sentence)] = faults("pattern", {"tag": "site", "pattern": r"(?ix) \w #" + "\n{99}"})
    assert "flag x" in sentence


def test_the_patterns_of_a_feed_cost_so_much_in_all() -> None:
    assert load_feed(rules(1, r"\w{99}x"))
    with pytest.raises(FeedDefinitionError) as refused:
        load_feed(rules(60, r"\w{99}x"))
    (fault,) = refused.value.faults
    assert fault.path.endswith("rules.1.options.pattern")
    assert "write [0-9A-Za-z_]" in fault.message


def test_a_feed_has_at_most_a_hundred_rules() -> None:
    assert len(load_feed(rules(100, "a")).rules) == 100
    with pytest.raises(FeedDefinitionError) as refused:
        load_feed(rules(101, "a"))
    (fault,) = refused.value.faults
    assert fault.code == "too_many"
    assert "at most 100 rules, not 101" in fault.message
