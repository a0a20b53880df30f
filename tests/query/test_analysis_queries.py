"""What analyses read, against the real engine: samples, windows, the latest points, and the state of a series."""

import numpy as np
import polars as pl
import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, queries
from tidemill.errors import LimitError
from tidemill.query.analysis import whole_windows
from tidemill.query.analysis_parameters import AnalysisQuery
from tidemill.store.client import Store

MINUTE = 60 * SECOND


def test_samples_are_in_order_and_of_one_instant_the_mean(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value", unit="g")
    writer.points(key, [START + 2 * SECOND, START], [3.0, None])
    areas = queries(store).analysis
    query = asked(AnalysisQuery)
    samples = areas.samples(areas.subject("default", key, None, None), query)
    assert samples.times_ns.tolist() == [START, START + 2 * SECOND]
    np.testing.assert_array_equal(samples.values, [np.nan, 3.0])


def test_more_samples_or_windows_than_allowed_name_the_limit(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    writer.points(key, [START + n * MINUTE for n in range(20)], [1.0] * 20)
    areas = queries(store).analysis
    subject = areas.subject("default", key, None, None)
    assert len(areas.samples(subject, asked(AnalysisQuery), 20).values) == 20
    with pytest.raises(LimitError, match="more than 19 values") as raised:
        areas.samples(subject, asked(AnalysisQuery), 19)
    assert (raised.value.limit, raised.value.allowed) == ("max_analysis_points", 19)
    with pytest.raises(LimitError, match="more than 9 windows of 2m"):
        areas.samples(subject, asked(AnalysisQuery, every="2m"), 9)


def test_windows_have_one_aggregate_and_those_that_are_not_whole_are_left_out(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    writer.points(key, [START + n * MINUTE for n in range(8, 42)], [1.0] * 34)
    areas = queries(store).analysis
    query = asked(AnalysisQuery, every="10m", agg="sum")
    samples = areas.samples(areas.subject("default", key, None, None), query)
    assert samples.times_ns.tolist() == [START + n * MINUTE for n in (10, 20, 30)]
    assert samples.values.tolist() == [10.0, 10.0, 10.0]


def test_only_the_ends_can_be_left_out_and_never_of_few() -> None:
    def kept(*counts: int) -> list[int]:
        return whole_windows(pl.DataFrame({"ns": range(len(counts)), "count": counts}))["ns"].to_list()

    assert kept(10, 3, 10, 10) == [0, 1, 2, 3]
    assert kept(3, 10, 10, 10, 8) == [1, 2, 3]
    assert kept(23, 24, 24, 22) == [0, 1, 2, 3]
    assert kept(1, 10) == [0, 1]


def test_the_latest_points_are_those_with_a_value(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    values = [float(n) if n < 15 else None for n in range(20)]
    writer.points(key, [START + n * SECOND for n in range(20)], values)
    areas = queries(store).analysis
    samples = areas.latest(areas.subject("default", key, None, None), asked(AnalysisQuery), 5)
    assert samples.values[~np.isnan(samples.values)].tolist() == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_the_state_changes_with_what_is_in_the_range_and_with_nothing_else(store: Store, writer: Writer) -> None:
    key, other = writer.series("signals", "value"), writer.series("signals", "other")
    writer.points(key, [START + n * SECOND for n in range(5)], [1.0] * 5)
    areas = queries(store).analysis
    before = areas.subject("default", key, START, START + 5 * SECOND)
    writer.points(other, [START], [1.0])
    writer.points(key, [START + 60 * SECOND], [1.0])
    assert areas.is_unchanged(before)
    assert areas.subject("default", key, START, START + 5 * SECOND).key == before.key
    writer.points(key, [START + SECOND], [1.0])
    assert not areas.is_unchanged(before)
    assert areas.subject("default", key, START, START + 5 * SECOND).key != before.key
