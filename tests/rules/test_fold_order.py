"""The hour that comes twice is told apart by the order of records, and where that tells nothing, nothing is guessed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode.test_time_formats import batch, feed, instants, of
from tests.support.payloads import logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.model.time import format_instant
from tidemill.model.zones import zone
from tidemill.rules.apply import apply_rules
from tidemill.rules.time import FOLD_EARLIER, FOLD_LATER

CHANGES = {  # instants at which clocks were put back
    "Europe/Vienna": datetime(2022, 10, 30, 1, tzinfo=UTC),
    "America/New_York": datetime(2022, 11, 6, 6, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2022, 4, 2, 15, tzinfo=UTC),
}


UTC_CLOCKS = ["23:30", "00:00", "00:30", "01:00", "01:30", "02:00"]


def policy(name: str = "Europe/Vienna") -> str:
    return f'offset = "optional"\nzone = "{name}"\nfold = "by_order"\n'


def quarters(*clocks: str) -> list[str]:
    return instants(policy(), *of(*(f"2022-10-30T{clock}" for clock in clocks)))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(CHANGES)),
    st.sampled_from([1, 5, 10, 15, 30]),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.booleans(),
)
def test_a_payload_of_even_steps_through_both_runs_is_stored_as_it_was(
    name: str, step: int, around: tuple[int, int], backward: bool
) -> None:
    before, behind = around
    moments = [CHANGES[name] + n * timedelta(minutes=step) for n in range(-120 // step - before, 120 // step + behind)]
    texts = [moment.astimezone(zone(name)).replace(tzinfo=None).isoformat() for moment in moments]
    expected = [moment.replace(tzinfo=None).isoformat() + "Z" for moment in moments]
    found = instants(policy(name), *of(*(texts[::-1] if backward else texts)))
    assert found == (expected[::-1] if backward else expected)


def test_flags_say_which_run_a_record_is_of() -> None:
    time = policy()
    texts = of("2022-10-30T01:45", "2022-10-30T02:00", "2022-10-30T02:30", "2022-10-30T02:00", "2022-10-30T03:00")
    checked = apply_rules(feed(time), batch(time, *texts))
    assert checked.frame.sort("idx")["flags"].to_list() == [0, FOLD_EARLIER, FOLD_EARLIER, FOLD_LATER, 0]


@pytest.mark.parametrize(
    ("clocks", "expected"),
    [
        (("01:30", "01:45", "02:00", "02:15"), ["2022-10-30T00:00:00Z", "2022-10-30T00:15:00Z"]),
        (("02:30", "02:45", "03:00", "03:15"), ["2022-10-30T01:30:00Z", "2022-10-30T01:45:00Z"]),
        (("02:00", "02:00"), ["2022-10-30T00:00:00Z", "2022-10-30T01:00:00Z"]),
        (("02:00",), ["fold_unclear"]),
        (("02:00", "02:15"), ["fold_unclear"] * 2),
        (("01:45", "02:00", "02:15", "02:30", "02:45", "03:00"), ["fold_unclear"] * 4),  # one run between both ends
        (("02:30", "02:15", "02:45", "02:00", "02:20"), ["fold_unclear"] * 5),
        (("01:45", "02:00", "02:00", "02:15", "02:30"), ["fold_unclear"] * 4),  # rather a record that is there twice
        (("03:15", "01:45", "02:15", "02:00", "03:30"), ["fold_unclear"] * 2),
    ],
)
def test_one_run_is_told_by_what_is_beside_it_or_not_at_all(clocks: tuple[str, ...], expected: list[str]) -> None:
    found = quarters(*clocks)
    assert [one for one, clock in zip(found, clocks, strict=True) if clock.startswith("02")] == expected


def test_series_and_payloads_are_told_apart_each_by_itself() -> None:
    text = f'name = "f"\n[time]\npath = "$.t"\n{policy()}[tags.m]\npath = "$.m"\n[fields.v]\npath = "$.v"\n'
    both = load_feed(text)
    clocks = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    records = [f'{{"t": "2022-10-30T{clock}", "m": "{m}", "v": 1}}' for clock in clocks for m in ("a", "b")]
    body = ("[" + ",".join(records) + "]").encode()
    frame = apply_rules(both, Decoder(both).decode_batch([logged(1, body, "f"), logged(2, body, "f")])).frame
    for _, rows in frame.sort("seq", "idx").group_by("seq", "identity"):
        assert [format_instant(ns)[11:16] for ns in rows["time"]] == [
            "23:30",
            "00:00",
            "00:30",
            "01:00",
            "01:30",
            "02:00",
        ]
    assert len(frame) == 24


def test_what_came_before_the_second_run_is_of_the_first() -> None:
    body = of("2022-10-30T02:30")[0].encode()
    received = int(datetime(2022, 10, 30, 0, 31, tzinfo=UTC).timestamp()) * 10**9
    found = apply_rules(
        feed(policy()), Decoder(feed(policy())).decode_batch([logged(1, body, "f", received_ns=received)])
    )
    assert found.frame["time"].to_list() == [received - 60 * 10**9]


@pytest.mark.parametrize(
    ("clocks", "received", "expected"),
    [
        # 02:45 cannot be of the second run yet, nor can what ascends to it
        (("02:00", "02:15", "02:30", "02:45"), "01:10", ["00:00", "00:15", "00:30", "00:45"]),
        (("02:30", "02:45", "02:00"), "01:10", ["00:30", "00:45", "01:00"]),
        # by its order 02:40 would be of the second run, 30 minutes after it was received
        (("02:30", "02:00", "02:40"), "01:10", ["00:30", "fold_unclear", "00:40"]),
        (("02:50", "02:40", "02:55"), "01:00", ["00:50", "00:40", "00:55"]),
    ],
)
def test_what_the_time_of_receipt_says_is_not_overwritten_by_the_order(
    clocks: tuple[str, ...], received: str, expected: list[str]
) -> None:
    received_at = datetime.fromisoformat(f"2022-10-30T{received}Z")
    body = ("[" + ",".join(of(*(f"2022-10-30T{clock}" for clock in clocks))) + "]").encode()
    both = feed(policy())
    sent = logged(1, body, "f", received_ns=int(received_at.timestamp()) * 10**9)
    checked = apply_rules(both, Decoder(both).decode_batch([sent]))
    told = {row["idx"]: format_instant(row["time"])[11:16] for row in checked.frame.iter_rows(named=True)}
    told |= {row["idx"]: row["reasons"][0] for row in checked.rejections.iter_rows(named=True)}
    assert [told[index] for index in range(len(clocks))] == expected
