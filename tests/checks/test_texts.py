"""Checks of what a text looks like: whole matches, characters and not bytes, spellings that Python reads as well."""

import ipaddress
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks.judging import broken, by_text, faults
from tidemill.checks.library import compile_check
from tidemill.model.time import parse_instant


def test_pattern_matches_the_whole_text() -> None:
    texts = ["P-0001", "xP-0001", "P-00012", "P-0001\n", "", None]
    assert by_text("pattern", {"pattern": "P-[0-9]{4}"}, texts) == [False, True, True, True, True, None]
    assert by_text("pattern", {"pattern": "a|b"}, ["a", "b", "ab"]) == [False, False, True]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("a(b", "unclosed group"), ("a)|(b", "unopened group"), ("(?<=a)b", "look-around"), (r"(a)\1", "backreferences")],
)
def test_a_pattern_that_is_none_is_a_fault_that_says_where(pattern: str, words: str) -> None:
    [(option, sentence)] = faults("pattern", {"tag": "site", "pattern": pattern})
    assert option == "pattern"
    assert words in sentence
    assert "^" in sentence


def test_a_pattern_that_would_need_too_much_is_a_fault() -> None:
    assert "may cost" in faults("pattern", {"tag": "site", "pattern": "x{1000}{1000}"})[0][1]
    assert "at most 1000" in faults("pattern", {"tag": "site", "pattern": "x" * 1001})[0][1]


@pytest.mark.timeout(20)
def test_a_pattern_takes_time_linear_in_the_text() -> None:
    texts = ["a" * 4096 + "!"] * 100  # a backtracking engine would need 2^4096 steps for one of them
    assert broken("pattern", {"tag": "site", "pattern": "(a|aa|a?)+"}, [{"t.site": text} for text in texts]) == [
        True
    ] * len(texts)


def test_length_counts_characters() -> None:
    assert by_text("length", {"min": 2, "max": 3}, ["é", "éé", "ééé", "éééé", "", None]) == [
        *(True, False, False, True, True),
        None,
    ]
    assert by_text("length", {"max": 0}, ["", "a"]) == [False, True]


@pytest.mark.parametrize(
    "options", [{}, {"min": 0}, {"min": -1}, {"min": 3, "max": 2}, {"max": -1}, {"min": -2, "max": -1}]
)
def test_faults_of_a_length(options: dict[str, int]) -> None:
    assert faults("length", {"tag": "site", **options})


SPELLINGS = {
    "integer": (["0", "-12", "+7", "00"], ["", "1.0", "1e3", " 1", "-", "٣"]),
    "number": (["1", "-1.5", ".5", "5.", "1e-3", "+2E+10"], ["", ".", "1e", "nan", "inf", "0x1", "1,5"]),
    "boolean": (["true", "false"], ["True", "1", ""]),
    "uuid": (["0190163d-8694-739b-aea5-966c26f8ad91"], ["0190163d8694739baea5966c26f8ad91", "x", ""]),
    "ipv4": (["0.0.0.0", "255.255.255.255", "10.1.2.3"], ["256.1.1.1", "1.2.3", "01.2.3.4", "1.2.3.4.5", ""]),
    "ipv6": (
        ["::", "::1", "2001:db8::8a2e:370:7334", "::ffff:1.2.3.4"],
        [":::", "1::2::3", "12345::", "fe80::1%e", ""],
    ),
    "date": (["2026-01-31", "2024-02-29"], ["2026-02-30", "2025-02-29", "26-01-01", "2026-1-1", "0000-01-01", ""]),
    "datetime": (
        ["2026-01-31T23:59:59Z", "2026-01-31t00:00:00.123456789+02:00"],
        ["2026-01-31", "2026-01-31T24:00:00Z", "2026-01-31T00:00:60Z", "2026-02-30T00:00:00Z", "2026-01-31T00:00:00"],
    ),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_spellings(kind: str) -> None:
    good, bad = SPELLINGS[kind]
    assert by_text("type", {"type": kind}, [*good, *bad, None]) == [False] * len(good) + [True] * len(bad) + [None]


def test_a_field_can_be_asked_to_be_whole() -> None:
    records = [{"f.v": value} for value in (3.0, -0.0, 2.5, 1e300, None)]
    assert broken("type", {"field": "v", "type": "integer"}, records) == [False, False, True, False, None]
    assert faults("type", {"field": "v", "type": "date"})[0][0] == "type"


def spelt(kind: str, texts: list[str]) -> list[bool]:
    check = compile_check("type", {"tag": "t", "type": kind})
    found: list[bool] = pl.DataFrame({"t.t": texts}).select(check.broken().not_())["t.t"].to_list()
    return found


groups = st.lists(st.sampled_from(["0", "1", "ffff", "A0", "12345", "", "1.2.3.4", "::", ":"]), max_size=9)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(groups.map(":".join), groups.map("".join), st.ip_addresses(v=6).map(str)), min_size=1))
def test_ipv6_is_what_python_reads(texts: list[str]) -> None:
    def reads(text: str) -> bool:
        try:
            return ipaddress.IPv6Address(text) is not None
        except ValueError:
            return False

    assert spelt("ipv6", texts) == [reads(text) for text in texts]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 9999), st.integers(0, 13), st.integers(0, 32)), min_size=1))
def test_dates_are_those_that_were(days: list[tuple[int, int, int]]) -> None:
    def real(text: str) -> bool:
        try:
            return date.fromisoformat(text) is not None
        except ValueError:
            return False

    texts = [f"{year:04}-{month:02}-{day:02}" for year, month, day in days]
    assert spelt("date", texts) == [real(text) for text in texts]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.datetimes(), min_size=1), st.integers(-23 * 60, 23 * 60))
def test_every_instant_that_a_feed_reads_is_a_datetime(times: list[object], minutes: int) -> None:
    sign, hours = "-" if minutes < 0 else "+", abs(minutes)
    texts = [f"{str(time).replace(' ', 'T')}{sign}{hours // 60:02}:{hours % 60:02}" for time in times]
    assert spelt("datetime", texts) == [True] * len(texts)
    assert parse_instant("2026-01-31T23:59:59Z")
