"""Every check says what it means, names its options, and has an example that a feed takes."""

import re
import tomllib

import pytest

from tidemill.checks.check import Check, HistoryCheck
from tidemill.checks.describe import check_example, check_meaning, check_options
from tidemill.checks.library import BUILT_IN, checks_by_name
from tidemill.checks.trial import evaluate_check
from tidemill.feeds.load import load_feed
from tidemill.rules.reasons import REASONS

FEED = """name = "p"
labels = { path = "$.labels" }
[time]
path = "$.time"
[fields.temperature]
path = "$.temperature"
[tags.site]
path = "$.site"
"""


def feed_for(check: type[Check]) -> str:
    """A feed that has what the example of a check names."""
    [rule] = tomllib.loads(check_example(check))["rules"]
    named = {(table, rule["options"].get(table)) for table in ("field", "tag", "attribute")}
    wanted = {one for one in named if one[1] not in (None, "temperature", "site")}
    return FEED + "".join(f'[{table}s.{name}]\npath = "$.{name}"\n' for table, name in wanted)


@pytest.mark.parametrize("check", BUILT_IN, ids=lambda check: check.name)
def test_the_example_of_every_check_is_a_rule_that_loads(check: type[Check]) -> None:
    feed = load_feed(f"{feed_for(check)}{check_example(check)}")
    [rule] = feed.rules
    made = rule.compiled()
    assert isinstance(made, check)
    assert made.explain()
    assert isinstance(made, HistoryCheck) or made.broken().meta.root_names()
    assert evaluate_check(made, feed.columns) == []


def test_every_check_has_a_meaning_a_reason_and_a_name_of_its_own() -> None:
    assert checks_by_name().keys() >= {check.name for check in BUILT_IN}
    assert len({check.name for check in BUILT_IN}) == len(BUILT_IN)
    for check in BUILT_IN:
        assert re.fullmatch("[a-z][a-z0-9_]*", check.name), check
        assert check.reason in REASONS
        assert check_meaning(check).rstrip(")").endswith(".")


@pytest.mark.parametrize("check", BUILT_IN, ids=lambda check: check.name)
def test_every_option_says_what_it_means(check: type[Check]) -> None:
    for option in check_options(check):
        assert option.meaning, option.name
        assert "Annotated" not in option.type
        assert option.required == (option.default is None and option.required)
