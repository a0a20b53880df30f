"""Columns of times are read exactly as single times are."""

from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidemill.decode.times import UNIT_NS, in_range, number_ns, parse_numbers, parse_texts
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S, format_instant, parse_wall

alphabet = st.text("0123456789-+:.TtZz /é\x00", max_size=40)
near = st.builds(
    lambda time, sep, fraction, ending: f"{time:%Y-%m-%d}{sep}{time:%H:%M:%S}{fraction}{ending}",
    st.datetimes(datetime(1890, 1, 1), datetime(2270, 1, 1)),
    st.sampled_from("Tt  _"),
    st.from_regex(r"(\.[0-9]{0,12})?", fullmatch=True),
    st.sampled_from(["", "Z", "z", "+00:00", "-00:00", "+14:00", "-23:59", "+24:00", "+01:60", "+0100", "Zulu", "\n"]),
)
broken = st.builds(
    lambda text, place, letter: text[:place] + letter + text[place + 1 :], near, st.integers(0, 30), alphabet
)


def scalar(text: str) -> tuple[int, bool] | None:
    """What `parse_wall` says, as (ns, local), or None; None too for what no int64 holds."""
    try:
        wall, offset = parse_wall(text)
    except ValueError:
        return None
    ns = wall - (offset or 0) * NS_PER_S
    return (ns, offset is None) if MIN_NS - 86_400 * NS_PER_S <= ns <= MAX_NS else None


@settings(max_examples=300, deadline=None)
@given(st.lists(near | broken | alphabet, max_size=20))
@example(["2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z", "1900-01-01T00:00:00Z"])
@example(["2262-04-12T01:47:16.854775807+02:00", "1899-12-31T23:00:00-01:00", "2024-02-29T00:00:00Z"])
@example(["2026-01-01T00:00:00." + "123456789" * 9 + "-01:00", "2262-04-12T00:00:00." + "0" * 50, "1" * 99])
@example(["2016-12-31T23:59:60Z", "2017-01-01T24:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"])
def test_a_column_of_texts_reads_as_each_text_does(texts: list[str]) -> None:
    walls = parse_texts(texts)
    fits = walls.ok & (walls.ns >= MIN_NS - 86_400 * NS_PER_S)
    read = [(int(ns), bool(local)) if ok else None for ns, local, ok in zip(walls.ns, walls.local, fits, strict=True)]
    assert read == [scalar(text) for text in texts]


@given(st.lists(st.integers(MIN_NS, MAX_NS), max_size=30))
def test_what_we_write_is_read_back_to_the_nanosecond(instants: list[int]) -> None:
    walls = parse_texts([format_instant(ns) for ns in instants])
    assert walls.ok.all()
    assert walls.ns.tolist() == instants


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1_700_000_000, "unix_s", 1_700_000_000 * NS_PER_S),
        (1_700_000_000.1, "unix_s", 1_700_000_000_100_000_000),
        (0.000_000_000_5, "unix_s", 0),
        (0.000_000_001_5, "unix_s", 2),
        (-1.5, "unix_ms", -1_500_000),
        (1_700_000_000_123_456_789, "unix_ns", 1_700_000_000_123_456_789),
        (1e9, "unix_s", 1_000_000_000 * NS_PER_S),
    ],
)
def test_epoch_numbers_are_exact(value: float, unit: str, expected: int) -> None:
    assert parse_numbers([value], UNIT_NS[unit]).ns.tolist() == [expected]


@given(st.lists(st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False), max_size=10))
def test_a_column_of_numbers_reads_as_each_number_does(values: list[float]) -> None:
    for unit in UNIT_NS.values():
        walls = parse_numbers(values, unit)
        good = walls.ok & in_range(walls)
        exact = [number_ns(value, unit) for value in values]
        assert good.tolist() == [MIN_NS <= ns <= MAX_NS for ns in exact]
        assert [int(ns) for ns, ok in zip(walls.ns, good, strict=True) if ok] == [
            ns for ns in exact if MIN_NS <= ns <= MAX_NS
        ]


@given(st.floats(-9e9, 9e9))
def test_a_float_of_seconds_is_its_shortest_decimal(value: float) -> None:
    assert abs(Fraction(repr(value)) * NS_PER_S - number_ns(value, NS_PER_S)) <= Fraction(1, 2)
