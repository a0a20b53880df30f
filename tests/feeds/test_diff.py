"""What differs between two versions of a feed."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.feeds.diff import (
    definition_changes,
    hide_source_values,
    parse_definition,
    same_values,
    text_diff,
)
from tidemill.feeds.recipes import RECIPES
from tidemill.feeds.rule_pairs import moved_pairs, pair_rules
from tidemill.model.feed_text import DefinitionChange

BASE = 'name = "f"\n[time]\npath = "$.t"\n[fields.x]\npath = "$.x"\n[labels]\npath = "$.l"\n'
AGE = '[[rules]]\ncheck = "max_age"\noptions = { max_age = "1h" }\n'
FUTURE = '[[rules]]\ncheck = "max_future"\noptions = { max_future = "5m" }\n'
LABELS = [f'[[rules]]\ncheck = "label_absent"\nreason = "{name}"\noptions = {{ label = "{name}" }}\n' for name in "abc"]


def told(old: str, new: str) -> list[tuple[str, str, Any, Any]]:
    return [(one.path, one.change, one.old, one.new) for one in definition_changes(old, new)]


def test_an_option_of_a_rule_has_its_path() -> None:
    assert told(BASE + FUTURE + AGE, BASE + FUTURE + AGE.replace("1h", "2h")) == [
        ("rules[1].options.max_age", "changed", "1h", "2h")
    ]


def test_comments_layout_and_written_defaults_change_nothing() -> None:
    assert told(BASE, "# why\n" + BASE.replace("[time]", 'duplicates = "last"\n\n[time]\noffset = "required"')) == []


def test_tables_that_come_and_go_are_one_change_each() -> None:
    new = BASE.replace('[labels]\npath = "$.l"\n', "") + '[fields.y]\npath = "$.y"\nunit = "m"\n'
    assert [(path, change) for path, change, _, _ in told(BASE, new)] == [
        ("fields.y", "added"),
        ("labels", "removed"),
    ]
    assert next(one.new for one in definition_changes(BASE, new))["unit"] == "m"


def test_a_rule_put_in_front_leaves_the_others_alone() -> None:
    old, new = BASE + AGE + "".join(LABELS), BASE + FUTURE + AGE + "".join(LABELS)
    assert [(path, change) for path, change, _, _ in told(old, new)] == [("rules[0]", "added")]
    assert [(path, change) for path, change, _, _ in told(new, old)] == [("rules[0]", "removed")]


def test_a_rule_that_moved_says_from_where_and_only_it() -> None:
    a, b, c = LABELS
    assert told(BASE + a + b + c, BASE + c + a + b) == [("rules[0]", "moved", 2, 0)]


def test_a_rule_that_moved_and_changed_is_compared_with_itself() -> None:
    new = BASE + AGE.replace("1h", "3h") + "".join(LABELS)
    assert told(BASE + "".join(LABELS) + AGE, new) == [
        ("rules[0]", "moved", 3, 0),
        ("rules[0].options.max_age", "changed", "1h", "3h"),
    ]


def test_another_check_at_the_same_place_is_a_change_of_that_rule() -> None:
    paths = [path for path, *_ in told(BASE + AGE, BASE + FUTURE)]
    assert paths == ["rules[0].check", "rules[0].options.max_future", "rules[0].options.max_age"]


def test_what_a_source_is_asked_with_is_hidden_and_never_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    source = '[source]\nurl = "http://one/"\n[source.headers]\n"X-Api.Key" = "${TOKEN}"\n'
    old, new = BASE + source, BASE + source.replace("one", "two").replace("TOKEN", "TOKEN:-x")
    found = definition_changes(old, new)
    assert {one.path: (one.old, one.new) for one in found} == {
        "source.url": ("http://one/", "http://two/"),
        'source.headers."X-Api.Key"': ("${TOKEN}", "${TOKEN:-x}"),
    }
    assert [(one.path, one.change, one.old, one.new, one.hidden) for one in hide_source_values(found)] == [
        (one.path, "changed", None, None, True) for one in found
    ]
    assert hide_source_values(definition_changes(BASE, new)) == (DefinitionChange("source", "added", hidden=True),)
    assert hide_source_values(definition_changes(BASE, BASE.replace('"f"', '"g"')))[0].new == "g"


def test_a_text_that_no_longer_fits_is_compared_as_it_is_written() -> None:
    old = 'name = "f"\nera = 1979-05-27\nlimit = nan\n[[rules]]\ncheck = "gone"\n'
    assert parse_definition(old)["rules"] == [{"check": "gone"}]
    assert parse_definition("name = ") == {}
    assert told(old, old) == []
    assert ("era", "removed", "1979-05-27", None) in told(old, BASE)


def test_lines_are_told_apart_for_people() -> None:
    assert text_diff("a\nb", "a\nc\n", ("f (version 1)", "f (version 2)")) == (
        "--- f (version 1)\n+++ f (version 2)\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    )
    assert text_diff("a\n", "a\n", ("x", "y")) == ""


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_equals_itself_and_no_other(name: str) -> None:
    for other, text in RECIPES.items():
        assert bool(definition_changes(RECIPES[name], text)) == (other != name)


SCALARS = st.one_of(st.booleans(), st.integers(-2, 2), st.text("ab", max_size=2), st.just(1.0))
RULES = st.lists(
    st.fixed_dictionaries(
        {"check": st.sampled_from(["range", "one_of"])},
        optional={
            "reason": st.sampled_from("xy"),
            "options": st.dictionaries(st.sampled_from(["field", "k"]), SCALARS),
        },
    ),
    max_size=5,
)
FEEDS = st.fixed_dictionaries(
    {"rules": RULES},
    optional={
        "title": SCALARS,
        "list": st.lists(SCALARS, max_size=2),
        "t": st.dictionaries(st.sampled_from("pq"), SCALARS),
    },
)


def toml(data: Any) -> str:
    def value(one: Any) -> str:
        if isinstance(one, dict):
            return "{" + ", ".join(f"{name} = {value(each)}" for name, each in one.items()) + "}"
        return "[" + ", ".join(map(value, one)) + "]" if isinstance(one, list) else json.dumps(one)

    return "".join(f"{name} = {value(each)}\n" for name, each in data.items())


@given(FEEDS, FEEDS)
def test_nothing_differs_exactly_when_both_mean_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    old, new = toml(one), toml(other)
    assert tomllib.loads(old) == one
    assert (definition_changes(old, new) == ()) == same_values(one, other)
    assert definition_changes(old, old) == ()


@given(RULES, RULES)
def test_every_rule_is_paired_once_and_what_stays_keeps_its_order(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    found = pair_rules(old, new)
    assert sorted(before for before, _ in found if before is not None) == list(range(len(old)))
    assert sorted(after for _, after in found if after is not None) == list(range(len(new)))
    went = moved_pairs(found)
    staying = [pair for pair in found if None not in pair and pair not in went]
    assert staying == sorted(staying, key=lambda pair: pair[0] or 0)
    if old == new:
        assert not went
