"""`expression` says of every record what Python says of it, and of every faulty text what and where the fault is."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks import expressions
from tests.checks.judging import COLUMNS, SCHEMA, broken, faults
from tidemill.checks.expression.columns import to_polars
from tidemill.checks.expression.parse import parse_expression
from tidemill.checks.library import compile_check

number = st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(allow_nan=False, allow_infinity=False))
text = st.one_of(st.none(), expressions.TEXTS)
instant = st.integers(-(2**61), 2**61)
records = st.fixed_dictionaries(
    {"f.v": number, "f.w": number, "f.flow-rate": number, "t.site": text, "t.user_id": text, "a.quality": text}
    | {"time": instant, "received_ns": instant}
)


@settings(deadline=None, max_examples=120)
@given(expressions.truths, st.lists(records, min_size=1, max_size=5))
def test_an_expression_says_what_python_says(tree: expressions.Tree, rows: list[dict[str, object]]) -> None:
    holds = expressions.write(tree)
    frame = pl.DataFrame(rows, schema={name: SCHEMA[name] for name in rows[0]})
    found = frame.with_columns(holds=to_polars(parse_expression(holds)))["holds"]
    assert found.to_list() == [expressions.evaluate(tree, row) for row in rows], holds


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(max_size=60), st.text("vw<>=!()[]'\"`.,+-*/% 019eE andortin\x00é\n", max_size=60)))
def test_whatever_is_written_is_an_expression_or_a_fault_with_its_place(holds: str) -> None:
    found = compile_check("expression", {"holds": holds}).faults(COLUMNS)
    for option, sentence in found:
        assert option == "holds"
        assert sentence.startswith("column ")
        assert sentence.endswith("^")


@pytest.mark.parametrize(
    ("holds", "column", "words"),
    [
        ("", 1, "is missing"),
        ("v < 1 and", 10, "is missing"),
        ("v = 1", 3, "=="),
        ("v > 1 && w > 1", 7, "write and"),
        ("1 < v < 3", 7, "a < b and b < c"),
        ("vv < 1", 1, "did you mean 'v'?"),
        ("site == 'a'", 1, "write tag.site"),
        ("tag.sit == 'a'", 1, "did you mean 'site'?"),
        ("flow_rate > 1", 1, "`flow-rate`"),
        ("v > 'a'", 5, "this is a text"),
        ("v", 1, "a truth"),
        ("v + tag.site > 1", 5, "a number"),
        ("(v > 1) == (w > 1)", 9, "not truths"),
        ("sin(v) > 1", 1, "did you mean 'min'?"),
        ("abs(v, 1) > 1", 1, "1 argument, not 2"),
        ("exists(1)", 8, "the name"),
        ("v in [1, 'a']", 10, "every item"),
        ("v in []", 7, "a list holds"),
        ("tag.site == 'a", 13, "no closing '"),
        ("v > 1e999", 5, "too large"),
        ("0100AB > 1", 1, "`0100011D00FF`"),
        ("1 < 2", 1, "nothing of the record"),
        ("v > 1 w", 7, "an operator"),
        ("(" * 33 + "v" + ")" * 33 + " > 1", 33, "deeper than 32"),
        ("+".join(["v"] * 150) + " > 1", 200, "at most 200 parts"),
        ("v > 1 or " * 120 + "v > 1", 1001, "at most 1000 characters"),
    ],
)
def test_a_fault_says_where_and_what_to_write(holds: str, column: int, words: str) -> None:
    [(option, sentence)] = faults("expression", {"holds": holds})
    first, shown, caret = sentence.split("\n")
    assert option == "holds"
    assert first.startswith(f"column {column}: ")
    assert words in first
    assert holds[column - 1 : column] == shown[len(caret) - 1 : len(caret)]


def test_a_record_is_rejected_only_where_the_expression_is_false() -> None:
    rows = [{"f.v": 90.0, "t.site": "oven"}, {"f.v": 90.0, "t.site": "hall"}, {"f.v": 90.0}, {"f.v": 70.0}, {}]
    holds = "v < 80 or tag.site == 'oven'"
    assert broken("expression", {"holds": holds}, rows) == [False, True, None, False, None]
    strictly = {"holds": holds, "missing": "reject"}
    assert broken("expression", strictly, rows) == [False, True, True, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_missing(value: float) -> None:
    rows = [{"f.v": value, "f.w": 1.0}]
    for holds in ("v > 0", "v <= 0", "v == v", "w / (v - v) > 0", "max(v, w) > 0"):
        assert broken("expression", {"holds": holds}, rows) == [None]
    assert broken("expression", {"holds": "exists(v)"}, rows) == [True]


@pytest.mark.parametrize(
    ("holds", "value"),
    [
        *(("round(v) == 2", 2.5), ("round(v) == 2", 1.5), ("round(v) == -0", -0.5), ("v % 3 == 1", -5.0)),
        *(("v % -3 == -1", 5.0), ("v % 0.5 == 0.25", 0.75), ("min(v, 3, 9) == 3", 5.0)),
        ("-v * 2 + 3 * v - 1 == 4", 5.0),
    ],
)
def test_arithmetic(holds: str, value: float) -> None:
    assert broken("expression", {"holds": holds}, [{"f.v": value}]) == [False]


@pytest.mark.parametrize(
    ("holds", "expected"),
    [("hour == 23 and weekday == 3", False), ("age == 90", False), ("weekday in [6, 7]", True)],
)
def test_facts_of_a_record(holds: str, expected: bool) -> None:
    time = -1_000_000_000  # 1969-12-31T23:59:59Z, a Wednesday
    assert broken("expression", {"holds": holds}, [{"time": time, "received_ns": time + 90_000_000_000}]) == [expected]


def test_a_register_is_named_in_backquotes() -> None:
    columns = COLUMNS.__class__(registers=True)
    assert not faults("expression", {"holds": "`0100011D00FF` >= 0"}, columns)
