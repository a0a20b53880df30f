"""Scores stored forecasts by the values that came since: as they stand now, and as they were first known.

Nothing of a score is kept: each one is computed from the points that are applied when it is read. A value that was
replaced since it came is in the store beside its successor, so that both scores need no copy of it.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.errors import LimitError
from tidemill.model.forecast import StoredForecast
from tidemill.model.time import format_instant, parse_instant
from tidemill.query.analysis import MAX_POINTS, WHOLE, AnalysedSeries, AnalysisQueries
from tidemill.query.analysis_answers import AsOf, ForecastAnswer
from tidemill.query.analysis_parameters import ForecastQuery
from tidemill.query.forecasts import forecast_query
from tidemill.query.points_query import PointsQuery
from tidemill.query.readers import WindowLength
from tidemill.query.window_frames import window_frame
from tidemill.store.client import Store

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_DAY_NS: Final = 86_400_000_000_000


class ForecastFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How a forecast did on `count` values: mean absolute error, root mean square error and mean error (`bias`: above
    0 where the forecast was too high) in the unit of the series. `mase` is `mae` over that of the seasonal naive on the
    history; `ratio_to_baseline` is `mae` over that of the naive forecast that had done best in the back-test, below 1:
    better. null: that error is 0. `coverage`: the share of values within the bounds of each level."""

    count: int
    mae: float
    rmse: float
    bias: float
    mase: float | None
    ratio_to_baseline: float | None
    coverage: dict[str, float]


class ForecastScore(msgspec.Struct, frozen=True, kw_only=True):
    """The score of a stored forecast. Of the `horizon` values `arrived` have come, `missing` have not although later
    ones have, and `pending` are still to come. `restated` of those that arrived were replaced by another value since.

    `now` scores the forecast by the values as they are now, `first` as they were first known; null: there is none.
    Columns have an item for each of `times`: `values` is the forecast, `truth` and `first_truth` are the values (null:
    has not arrived). With `every` no first value of a window is kept that was restated: there it is null.
    `history_changed`: points of the forecast's own history that came or were replaced after it was made.
    """

    id: str
    series: str
    unit: str | None
    as_of: AsOf
    horizon: int
    arrived: int
    missing: int
    pending: int
    restated: int
    history_changed: int
    baseline: str
    now: ForecastFigures | None
    first: ForecastFigures | None
    times: list[str]
    values: list[float]
    truth: list[float | None]
    first_truth: list[float | None]


class Truth(msgspec.Struct, frozen=True):
    """The value of each time of a forecast now, and as it was first known (NaN: it has not arrived, or is not known);
    `restated`: whether it was replaced by another value."""

    now: Floats
    first: Floats
    restated: NDArray[np.bool_]


class ForecastScores:
    """Computes scores. Raises NotFoundError as `SeriesQueries` does, and what the store raises."""

    def __init__(self, store: Store, analysis: AnalysisQueries) -> None:
        self._store, self._analysis = store, analysis

    def score(self, forecast: StoredForecast) -> ForecastScore:
        """The score of a forecast by what is applied now."""
        answer = msgspec.json.decode(forecast.body, type=ForecastAnswer)
        query = forecast_query(forecast.request.parameters)
        times = np.array([parse_instant(text) for text in answer.times], np.int64)
        step_ns = _step_ns(times, parse_instant(answer.used.to))
        subject = self._analysis.subject(forecast.tenant, forecast.request.series, None, None)
        if query.every is None:
            truth, reach_ns = self._points(subject, times, step_ns // 2), step_ns // 2
        else:
            truth, reach_ns = self._windows(subject, query, query.every, times, step_ns), step_ns
        has_passed = times + reach_ns <= (-1 if subject.last_ns is None else subject.last_ns)
        arrived = int((~np.isnan(truth.now)).sum())
        missing = int((np.isnan(truth.now) & has_passed).sum())
        last = None if subject.last_ns is None else format_instant(subject.last_ns)
        return ForecastScore(
            id=forecast.id,
            series=forecast.request.series,
            unit=answer.unit,
            as_of=AsOf(subject.seq, last),
            horizon=len(times),
            arrived=arrived,
            missing=missing,
            pending=len(times) - arrived - missing,
            restated=int(truth.restated.sum()),
            history_changed=self._history_changed(subject, forecast, answer.as_of.seq),
            baseline=answer.baseline.model,
            now=figures(answer, truth.now),
            first=figures(answer, truth.first),
            times=answer.times,
            values=answer.values,
            truth=_nullable(truth.now),
            first_truth=_nullable(truth.first),
        )

    def _points(self, subject: AnalysedSeries, times: Integers, half_ns: int) -> Truth:
        """The truth of a forecast of points: of the points less than half a step away the mean."""
        bound = _bound(subject, int(times[0]) - half_ns, int(times[-1]) + half_ns)
        frame = self._store.frame("forecast_truth", limit=MAX_POINTS + 1, **bound)
        if len(frame) > MAX_POINTS:
            message = f"There are more than {MAX_POINTS:,} points in the time of this forecast: it cannot be scored"
            raise LimitError("max_analysis_points", MAX_POINTS, message)
        before = self._store.frame("forecast_first_truth", limit=MAX_POINTS, **bound)
        return truth_of_points(times, half_ns, frame, before)

    def _windows(
        self, subject: AnalysedSeries, query: ForecastQuery, every: WindowLength, times: Integers, step_ns: int
    ) -> Truth:
        """The truth of a forecast of windows: of those that are over, and have nine tenths of the usual points."""
        begin, end = int(times[0]), int(times[-1]) + step_ns
        agg = (query.agg, "count") if query.agg != "count" else ("count",)
        windows = PointsQuery(start=begin, end=end, every=every, agg=agg, tz=query.zone)
        series = [subject.described]
        frame, _ = window_frame(self._store, subject.tenant, series, windows, every, limit=len(times) + 1)
        before = self._store.frame("forecast_first_truth", limit=MAX_POINTS, **_bound(subject, begin, end - 1))
        last_ns = -1 if subject.last_ns is None else subject.last_ns
        counts = frame.select("ns", pl.col(query.agg).alias("value"), "count")
        return truth_of_windows(times, np.append(times[1:], end), counts, before, last_ns)

    def _history_changed(self, subject: AnalysedSeries, forecast: StoredForecast, seq: int) -> int:
        bound = _bound(subject, forecast.first_ns, forecast.last_ns)
        return int(self._store.rows("forecast_history", low=seq, **bound)[0]["changed"])


def truth_of_points(times: Integers, half_ns: int, frame: pl.DataFrame, before: pl.DataFrame) -> Truth:
    """The Truth at `times` from points (`ns`, `value`; null: missing) and the first values of those that were replaced
    (`before`, same columns). A point belongs to the nearest time, if that is at most `half_ns` away."""
    ns, now = frame["ns"].to_numpy(), frame["value"].cast(pl.Float64).to_numpy()
    joined = frame.select("ns").join(before.rename({"value": "was"}).with_columns(known=True), on="ns", how="left")
    replaced = joined["known"].fill_null(False).to_numpy()
    first = np.where(replaced, joined["was"].cast(pl.Float64).to_numpy(), now)
    present = ~np.isnan(now)
    changed = replaced & ~((first == now) | (np.isnan(first) & np.isnan(now)))
    return Truth(
        now=_means(times, half_ns, ns[present], now[present]),
        first=_means(times, half_ns, ns[~np.isnan(first)], first[~np.isnan(first)]),
        restated=~np.isnan(_means(times, half_ns, ns[changed], np.ones(int(changed.sum())))),
    )


def truth_of_windows(times: Integers, ends: Integers, frame: pl.DataFrame, before: pl.DataFrame, last_ns: int) -> Truth:
    """The Truth of windows [times, ends) from those with points (`ns`, `value`, `count`), for a series whose last point
    is at `last_ns`. No first value is known of a window in which a point was replaced (`before`)."""
    rows = pl.DataFrame({"ns": times}).join(frame, on="ns", how="left", maintain_order="left")
    values, counts = rows["value"].cast(pl.Float64).to_numpy(), rows["count"].fill_null(0).to_numpy()
    usual = float(np.median(counts[counts > 0])) if counts.any() else 0.0
    now = np.where((counts >= WHOLE * usual) & (ends <= last_ns), values, np.nan)
    at = np.searchsorted(times, before["ns"].to_numpy(), side="right") - 1
    restated = np.zeros(len(times), np.bool_)
    restated[at[at >= 0]] = True
    restated &= ~np.isnan(now)
    return Truth(now, np.where(restated, np.nan, now), restated)


def figures(answer: ForecastAnswer, truth: Floats) -> ForecastFigures | None:
    """The figures of a forecast by the truth at its times (NaN: none); None without any."""
    known = ~np.isnan(truth)
    if not known.any():
        return None
    errors = (np.array(answer.values) - truth)[known]
    naive = np.abs(np.array(answer.baseline.values) - truth)[known].mean()
    mae, scale = float(np.abs(errors).mean()), answer.baseline.mase_scale
    return ForecastFigures(
        count=int(known.sum()),
        mae=mae,
        rmse=float(np.sqrt(np.square(errors).mean())),
        bias=float(errors.mean()),
        mase=mae / scale if scale else None,
        ratio_to_baseline=mae / float(naive) if naive > 0 else None,
        coverage={
            level: float(((truth >= bounds.lower) & (truth <= bounds.upper))[known].mean())
            for level, bounds in answer.levels.items()
        },
    )


def _means(times: Integers, half_ns: int, ns: Integers, values: Floats) -> Floats:
    """The mean of the values nearest to each of `times` (ascending) and at most `half_ns` away; NaN: none."""
    at = np.clip(np.searchsorted(times, ns), 1, max(len(times) - 1, 1))
    left = np.clip(at - 1, 0, len(times) - 1)
    right = np.clip(at, 0, len(times) - 1)
    nearest = np.where(np.abs(ns - times[left]) <= np.abs(times[right] - ns), left, right)
    near = np.abs(ns - times[nearest]) <= half_ns
    counts = np.bincount(nearest[near], minlength=len(times))
    sums = np.bincount(nearest[near], values[near], minlength=len(times))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _step_ns(times: Integers, before_ns: int) -> int:
    """The usual length from one of `times` to the next; of months the longest."""
    steps = np.diff(times) if len(times) > 1 else np.array([times[0] - before_ns])
    usual = int(np.median(steps))
    return int(steps.max()) if usual > 27 * _DAY_NS else usual


def _bound(subject: AnalysedSeries, first_ns: int, last_ns: int) -> Mapping[str, Any]:
    return {
        "tenant": subject.tenant,
        "series": subject.described.series,
        "deleted_seq": subject.described.deleted_seq,
        "first": first_ns,
        "last": last_ns,
    }


def _nullable(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
