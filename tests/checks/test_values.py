"""Checks of one value: there, finite, in a range, among those allowed. What is missing passes all but `required`."""

import math

import pytest

from tests.checks.judging import broken, by_text, faults


@pytest.mark.parametrize(
    ("options", "there"),
    [({"field": "v"}, {"f.v": 0.0}), ({"tag": "site"}, {"t.site": "x"}), ({"attribute": "quality"}, {"a.quality": ""})],
)
def test_required_asks_for_what_the_contract_leaves_optional(options: dict[str, str], there: dict[str, object]) -> None:
    assert broken("required", options, [there, {}]) == [False, True]


def test_required_labels_are_at_least_one() -> None:
    assert broken("required", {"labels": True}, [{"labels": ["a"]}, {"labels": []}, {}]) == [False, True, True]


def test_finite() -> None:
    values = [1.0, math.nan, math.inf, -math.inf, None]
    expected = [False, True, True, True, None]
    assert broken("finite", {"field": "v"}, [{"f.v": value} for value in values]) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"min": 0}, [True, False, False, False]),
        ({"max": 1}, [False, False, False, True]),
        ({"min": 0, "max": 1}, [True, False, False, True]),
        ({"min_exclusive": 0}, [True, True, False, False]),
        ({"max_exclusive": 1}, [False, False, True, True]),
        ({"min": 0, "max_exclusive": 1}, [True, False, True, True]),
    ],
)
def test_range_is_inclusive_unless_it_says_otherwise(options: dict[str, float], expected: list[bool]) -> None:
    records = [{"f.v": value} for value in (-0.5, 0.0, 1.0, 1.5)]
    assert broken("range", {"field": "v", **options}, records) == expected
    assert broken("range", {"field": "v", **options}, [{}]) == [None]


@pytest.mark.parametrize(
    ("options", "option", "words"),
    [
        ({"field": "x", "min": 0}, "field", "known: flow-rate, v, w"),
        ({"field": "v"}, "min", "give min, max"),
        ({"field": "v", "min": 2, "max": 1}, "min", "above"),
        ({"field": "v", "min": 2, "max_exclusive": 2}, "min", "no value"),
        ({"field": "v", "min": 2, "min_exclusive": 2}, "min_exclusive", "not both"),
        ({"field": "v", "min": "a"}, None, "'min' must be a number"),
        ({"field": "v", "mim": 1}, None, "mim"),
    ],
)
def test_faults_of_a_range(options: dict[str, object], option: str | None, words: str) -> None:
    found = faults("range", options)
    assert any(where == option and words in sentence for where, sentence in found), found


def test_one_of() -> None:
    assert by_text("one_of", {"values": ["a", "b"]}, ["a", "b", "A", "", None]) == [False, False, True, True, None]


def test_each_label_is_judged() -> None:
    records = [{"labels": ["a", "b"]}, {"labels": ["a", "x"]}, {"labels": []}]
    assert broken("one_of", {"labels": True, "values": ["a", "b"]}, records) == [False, True, False]


@pytest.mark.parametrize("name", ["required", "one_of"])
@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, None),
        ({"tag": "site", "attribute": "quality"}, "tag"),
        ({"tag": "sit"}, "tag"),
        ({"attribute": "site"}, "attribute"),
    ],
)
def test_a_check_looks_at_one_thing_that_the_feed_has(name: str, options: dict[str, str], option: str | None) -> None:
    found = faults(name, {**options, **({"values": ["a"]} if name == "one_of" else {})})
    assert len(found) == 1
    assert option is None or found[0][0] == option
