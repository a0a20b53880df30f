"""One answer to "did this window change?": the preview of a replay lists exactly what publishing it writes."""

from collections.abc import Callable
from itertools import accumulate
from math import fsum
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mill.house import House
from tests.mill.test_replay import PHASES, build_with, record
from tests.support.rounds import rounds
from tidemill.mill.compare import ROUNDING, window_changes
from tidemill.model.ids import parse_series

VALUES = st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=12)
KEY = {"series": pl.UInt64, "window": pl.Int64}


def window(values: list[float], mean: float) -> pl.DataFrame:
    row = {"series": [7], "window": [60], "count": [len(values)], "mean": [mean]}
    return pl.DataFrame(row | {"min": [min(values)], "max": [max(values)]}, schema_overrides=KEY)


def changes(before: pl.DataFrame, after: pl.DataFrame, *, moved: bool = True) -> pl.DataFrame:
    windows = pl.DataFrame({"series": [7], "window": [60], "moved": [moved]}, schema_overrides=KEY)
    return window_changes(windows, before, after)


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_adding_up_never_makes_a_change(values: list[float], random: Any) -> None:
    shuffled = random.sample(values, len(values))
    means = [list(accumulate(order))[-1] / len(values) for order in (values, shuffled)] + [fsum(values) / len(values)]
    for mean in means:
        assert changes(window(values, means[0]), window(values, mean)).is_empty()


@given(VALUES, st.integers(0, 11), st.floats(-1e9, 1e9, allow_nan=False))
def test_another_value_is_a_change_and_another_count_always(values: list[float], at: int, value: float) -> None:
    other = [*values[: at % len(values)], value, *values[at % len(values) + 1 :]]
    before, after = window(values, fsum(values) / len(values)), window(other, fsum(other) / len(other))
    largest = max(map(abs, [*values, *other]))
    apart = abs(before["mean"][0] - after["mean"][0])
    assert changes(before, after).height == (apart > ROUNDING * largest)
    more = window([*values, value], before["mean"][0])
    assert changes(before, more, moved=False).height == changes(more, before, moved=False).height == 1


def test_a_tenth_and_two_tenths_are_three_tenths() -> None:
    assert changes(window([0.1, 0.2], (0.1 + 0.2) / 2), window([0.1, 0.2], 0.3 / 2)).is_empty()


def test_what_no_value_changed_is_compared_by_its_count_alone() -> None:
    assert changes(window([1, 2], 1.5), window([1, 2], 1.25), moved=False).is_empty()


def test_a_window_that_appears_or_goes_has_no_mean_on_that_side() -> None:
    there, nothing = window([1, 2], 1.5), window([1, 2], 1.5).clear()
    assert changes(nothing, there).row(0)[2:] == (None, 1.5, 0, 2)
    assert changes(there, nothing).row(0)[2:] == (1.5, None, 2, 0)
    assert changes(there.with_columns(count=pl.lit(0)), nothing).is_empty()


RECORDS = st.lists(
    st.builds(record, st.integers(0, 130), st.sampled_from([0.1, 0.2, 0.3, 0.7, 1e-9, 60.0]), st.sampled_from("ab")),
    min_size=1,
    max_size=8,
)


@settings(max_examples=rounds(2, 60), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(payloads=st.lists(RECORDS, min_size=1, max_size=6), policy=st.sampled_from(["first", "last", "keep"]))
def test_what_a_preview_lists_is_exactly_what_publishing_writes(
    build: Callable[..., House], payloads: list[list[dict[str, Any]]], policy: str
) -> None:
    house = build_with(build, policy, 1000, 55)
    for body in payloads:
        house.send("location", body, feed_version=2)
    house.work()
    for version in (3, 3, 2):
        preview = house.replay("location", version, dry_run=True).result
        written = house.replay("location", version)
        assert preview is not None and written.result == preview
        rows = [row for row in house.all("changes") if row["replay"] == written.id and row["every_s"]]
        listed = {(parse_series(one.series), one.window_ns): one for one in preview.windows}
        assert len(rows) == len(listed) == preview.windows_changed
        for row in rows:
            one = listed[row["series"], row["time"]]
            assert (row["old"], row["old_count"], row["new_count"]) == (one.old_mean, one.old_count, one.new_count)
            assert (row["new"] is None) == (one.new_mean is None)
            assert row["new"] is None or abs(row["new"] - (one.new_mean or 0)) <= ROUNDING * 60
        restated = {
            (row["series"], row["window"]) for row in house.all("restated") if row["restated_at"] == house.clock()
        }
        assert set(listed) <= restated | {key for key, one in listed.items() if one.new_count == 0}
    same = house.replay("location", 2)
    assert not [row for row in house.all("changes") if row["replay"] == same.id], "nothing changed: nothing is told"
