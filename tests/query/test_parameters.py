"""Query parameters: every fault at once, with its place; and the instants, windows and cursors that are taken."""

from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.support import ns
from tidemill.errors import InputError
from tidemill.query.cursors import cursor_reader, encode_cursor
from tidemill.query.parameters import End, QueryParameters, Start, Tags, Unit, Zone, limit_to, read_query, time_range
from tidemill.query.points_query import PointsQuery
from tidemill.query.series import MetricsQuery


class Known(QueryParameters, frozen=True):
    start: Start = None
    end: End = None
    unit: Unit = None
    tz: Zone = "UTC"
    tags: Tags = {}
    limit: Annotated[int, limit_to(100)] = 10


def faults(pairs: list[tuple[str, str]], known: Any = Known) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        read_query(pairs, known)
    return {fault.path: fault.code for fault in caught.value.faults}


def start(text: str, **others: str) -> int:
    return read_query([("start", text), *others.items()], Known).start or 0


def test_defaults_are_filled_in() -> None:
    assert read_query([], Known) == Known(None, None, None, "UTC", {}, 10)


def test_every_fault_is_named_at_once() -> None:
    pairs = [("start", "soon"), ("limit", "0"), ("lmit", "5"), ("tz", "Europe/Zurch"), ("end", "")]
    assert faults(pairs) == {
        "$query.start": "invalid",
        "$query.limit": "invalid",
        "$query.lmit": "unknown_parameter",
        "$query.tz": "invalid",
        "$query.end": "empty",
    }


def test_an_unknown_parameter_is_told_the_nearest_known_one() -> None:
    with pytest.raises(InputError, match="did you mean 'limit'"):
        read_query([("lmit", "5")], Known)
    with pytest.raises(InputError, match="did you mean 'Europe/Zurich'"):
        read_query([("tz", "Europe/Zurch")], Known)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("start", "2026-01-02"), ("end", "2026-01-01")], {"$query.start": "out_of_order"}),
        ([("limit", "1"), ("limit", "2")], {"$query.limit": "repeated"}),
        ([("tag.a", "x\0y")], {"$query.tag.a": "invalid"}),
        ([("tag.a", "x" * 3000)], {"$query.tag.a": "too_long"}),
        ([("x" * 3000, "y")], {f"$query.{'x' * 80}": "too_long"}),
        ([("\0", "y")], {"$query.\ufffd": "invalid"}),
        ([("tag.", "y")], {"$query.tag.": "unknown_parameter"}),
        ([("limit", "-1")], {"$query.limit": "invalid"}),
        ([("limit", "１")], {"$query.limit": "invalid"}),
        ([("limit", "101")], {"$query.limit": "invalid"}),
        ([("limit", "1e1")], {"$query.limit": "invalid"}),
        ([("unit", "h")], {"$query.unit": "invalid"}),
        ([("start", "1767225600")], {"$query.start": "invalid"}),
        ([("start", "2026-01-01T00:00:00")], {"$query.start": "invalid"}),
        ([("start", "2026-02-30")], {"$query.start": "invalid"}),
        ([("start", "0000-01-01")], {"$query.start": "invalid"}),
        ([("start", "9999-01-01")], {"$query.start": "invalid"}),
        ([("start", "99999999999999999999"), ("unit", "s")], {"$query.start": "invalid"}),
        ([("tz", "../etc/passwd")], {"$query.tz": "invalid"}),
        ([("tz", "Factory")], {"$query.tz": "invalid"}),
    ],
)
def test_faults(pairs: list[tuple[str, str]], expected: dict[str, str]) -> None:
    assert faults(pairs) == expected


def test_instants() -> None:
    midnight = ns("2026-01-31T00:00:00Z")
    assert start("2026-01-31T00:00:00Z") == midnight
    assert start("2026-01-31") == midnight
    assert start("2026-01-31", tz="Europe/Zurich") == midnight - 3600 * 10**9
    assert start("2026-01-31T01:00:00 01:00") == midnight  # a '+' that was not encoded
    assert start("1769817600", unit="s") == midnight
    assert start("1769817600.25", unit="s") == midnight + 250_000_000
    assert start("-1", unit="ms") == -1_000_000
    assert start("1769817600000000001", unit="ns") == midnight + 1


def test_ranges_are_inclusive_inside() -> None:
    query = read_query([("start", "5"), ("end", "9"), ("unit", "ns")], Known)
    span = time_range(query.start, query.end)
    assert (span.first_ns, span.last_ns) == (5, 8)
    assert time_range(None, None).last_ns == 2**63 - 1


@pytest.mark.parametrize("text", ["0m", "m", "1.5h", "-1d", "5h", "200y", "1x", "999999999y", "1 d"])
def test_windows_that_are_none(text: str) -> None:
    assert faults([("every", text)], PointsQuery) == {"$query.every": "invalid"}


@pytest.mark.parametrize(
    "name,text", [("agg[2]", "mean,median,modes"), ("fill", "zero"), ("format", "xml"), ("order", "up")]
)
def test_words_that_are_none(name: str, text: str) -> None:
    assert faults([(name.partition("[")[0], text)], PointsQuery) == {f"$query.{name}": "invalid"}


def test_every_faulty_item_of_a_list_is_named() -> None:
    with pytest.raises(InputError) as caught:
        read_query([("q", "1.5,a,0"), ("start", "soon")], MetricsQuery)
    named = {fault.path: fault.message for fault in caught.value.faults}
    assert list(named) == ["$query.q[0]", "$query.q[1]", "$query.start"]
    assert "'1.5'" in named["$query.q[0]"] and "'a'" in named["$query.q[1]"]
    assert read_query([("q", "1,.5,1")], MetricsQuery).q == (1.0, 0.5)


def test_a_parameter_with_a_name_behind_its_dot_is_hinted_as_it_is_written() -> None:
    with pytest.raises(InputError, match=r"did you mean 'tag\.NAME'"):
        read_query([("tag.", "1")], Known)
    with pytest.raises(InputError, match=r"known are .*tag\.NAME, limit"):
        read_query([("something", "1")], Known)


@settings(deadline=None)
@given(st.integers(-(2**63), 2**64 - 1), st.text())
def test_cursors_come_back(number: int, text: str) -> None:
    assert cursor_reader(int, str)(encode_cursor(number, text), {}) == (number, text)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_a_cursor(text: str) -> None:
    try:
        parts = cursor_reader(int, int)(text, {})
    except ValueError:
        return
    assert all(isinstance(part, int) for part in parts)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["start", "end", "unit", "limit", "tz", "tag.x", "q"]), st.text(max_size=30)))
)
def test_anything_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        read_query(pairs, Known)
    except InputError as error:
        assert all(fault.path.startswith("$query.") for fault in error.faults)
