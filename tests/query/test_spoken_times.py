"""Instants as people write them in a search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.query.support import ns
from tidemill.model.time import format_instant
from tidemill.query.spoken_times import find_time

NOW = ns("2026-11-30T12:00:00Z")  # a Monday; 13:00 in Zurich
ZURICH = "Europe/Zurich"


@pytest.mark.parametrize(
    ("text", "time", "rest"),
    [
        ("pump 1 yesterday 14:42", "2026-11-29T13:42:00Z", "pump 1"),
        ("14:42 pump 1", "2026-11-29T13:42:00Z", "pump 1"),  # today it would be in the future
        ("p1 at 08:15:30.5", "2026-11-30T07:15:30.5Z", "p1"),
        ("29 nov 2025 08:15 flow", "2025-11-29T07:15:00Z", "flow"),
        ("29 November 08:15", "2026-11-29T07:15:00Z", ""),
        ("1 dec noon", "2025-12-01T11:00:00Z", ""),
        ("29 feb", "2024-02-28T23:00:00Z", ""),
        ("3.7.2026 midnight", "2026-07-02T22:00:00Z", ""),
        ("on 2026-03-29 02:30", "2026-03-29T01:30:00Z", ""),  # it was skipped there
        ("2026-10-25 02:30", "2026-10-25T00:30:00Z", ""),  # it was there twice: the first
        ("monday 7:00", "2026-11-30T06:00:00Z", ""),
        ("last tue 7:00 bar", "2026-11-24T06:00:00Z", "bar"),
        ("2 hours ago", "2026-11-30T10:00:00Z", ""),
        ("bar -15m", "2026-11-30T11:45:00Z", "bar"),
        ("now", "2026-11-30T12:00:00Z", ""),
        ("2026-11-29T14:42:10+01:00 p1", "2026-11-29T13:42:10Z", "p1"),
        ("2026-11-29 14:42:10", "2026-11-29T13:42:10Z", ""),
        ("today", "2026-11-29T23:00:00Z", ""),
    ],
)
def test_a_text_names_an_instant(text: str, time: str, rest: str) -> None:
    spoken = find_time(text, NOW, ZURICH)
    assert spoken is not None
    assert (format_instant(spoken.ns), spoken.rest) == (time, rest)


@pytest.mark.parametrize(
    "text",
    ["pump 1", "p1", "bar", "25:00", "31.2.2026", "32 nov", "9999-01-01 00:00:00", "3 ma", "1.5", "12", "", "may"],
)
def test_other_texts_name_none(text: str) -> None:
    assert find_time(text, NOW, ZURICH) is None


_WORDS = st.sampled_from(["yesterday", "now", "24:00", "29 nov", "2026-02-30", "9999999 weeks ago", "-999999w", "mon"])


@given(st.lists(st.one_of(st.text(max_size=12), _WORDS), max_size=5).map(" ".join))
def test_no_text_is_an_error(text: str) -> None:
    spoken = find_time(text, NOW, ZURICH)
    if spoken is not None:
        format_instant(spoken.ns)
