"""Which deletions concern a stored forecast: those of points that it may have been made of, and no others."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tidemill.model.deletion import Deletion
from tidemill.model.forecast import (
    MAX_OFFSETS,
    ForecastRequest,
    KnownDeletion,
    StoredForecast,
    UsedPayloads,
    derives_from,
    packed_answer,
    used_payloads,
)

SERIES = "00000000000000aa"
FORECAST = StoredForecast(
    id="f",
    tenant="t",
    created_ns=1_000,
    request=ForecastRequest(SERIES),
    feed="meters",
    feed_version=1,
    name="",
    field="kwh",
    tags={"meter": "m", "site": "s"},
    first_ns=100,
    last_ns=200,
    applied=50,
    payloads=used_payloads([10, 20, 49], 3, 10, 49),
    version="0",
    answer=packed_answer(b"{}"),
)


def concerns(deletion: Deletion, *, offset: int = 60, requested_ns: int = 2_000, payload: int = 0) -> bool:
    return derives_from(FORECAST, KnownDeletion(offset, requested_ns, deletion, payload))


def test_a_series_a_range_and_a_feed_are_matched_by_all_that_they_name() -> None:
    assert concerns(Deletion(kind="feed", feed="meters"))
    assert concerns(Deletion(kind="series", feed="meters", series=SERIES))
    assert concerns(Deletion(kind="range", feed="meters", tags={"meter": "m"}))
    assert concerns(Deletion(kind="range", feed="meters", series=SERIES, start_ns=200))
    assert concerns(Deletion(kind="range", feed="meters", end_ns=101))
    assert not concerns(Deletion(kind="feed", feed="others"))
    assert not concerns(Deletion(kind="series", feed="meters", series="00000000000000bb"))
    assert not concerns(Deletion(kind="range", feed="meters", tags={"meter": "m", "site": "other"}))
    assert not concerns(Deletion(kind="range", feed="meters", series=SERIES, start_ns=201))
    assert not concerns(Deletion(kind="range", feed="meters", end_ns=100))


def test_a_deletion_that_was_applied_before_the_points_were_read_concerns_none_of_them() -> None:
    whole = Deletion(kind="feed", feed="meters")
    assert not concerns(whole, offset=50) and concerns(whole, offset=51)


def test_a_payload_is_matched_by_its_offset_or_by_its_time_where_it_may_be_among_them() -> None:
    payload = Deletion(kind="payload", feed="meters", receipt="r")
    assert concerns(payload, payload=20)
    assert not concerns(payload, payload=30) and not concerns(payload, payload=55)
    assert concerns(payload, payload=30, requested_ns=900)  # while the forecast was made


@given(st.sets(st.integers(1, 1 << 44), min_size=1, max_size=50), st.integers(0, 1 << 44))
def test_payloads_are_those_that_were_given(offsets: set[int], other: int) -> None:
    used = used_payloads(offsets, len(offsets), min(offsets), max(offsets))
    used = msgspec.json.decode(msgspec.json.encode(used), type=UsedPayloads)
    assert all(used.includes(offset) for offset in offsets)
    assert used.includes(other) == (other in offsets)


def test_of_too_many_payloads_each_within_their_range_may_be_among_them() -> None:
    used = used_payloads(range(2, 2 * MAX_OFFSETS + 5, 2), 20_000, 2, 90_000)
    assert used.includes(3) and used.includes(90_000) and not used.includes(1) and not used.includes(90_001)
