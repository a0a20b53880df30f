"""Reads what analyses work on: values of a series with their times, raw or over windows, and the state of its points.

An answer depends on nothing but its parameters and on what `subject` returns.
"""

from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.errors import NearestQuestion, TooBigQuestionError
from tidemill.model.ids import format_series, parse_series
from tidemill.model.time import format_instant
from tidemill.query.aggregates import aggregate_units
from tidemill.query.analysis_parameters import AnalysisQuery
from tidemill.query.analysis_tasks import TaskSubject
from tidemill.query.kept import Kept
from tidemill.query.ladder import window_length_for
from tidemill.query.parameters import TimeRange, time_range
from tidemill.query.plain_points import samples_frame
from tidemill.query.points_query import PointsQuery
from tidemill.query.series import SeriesQueries, in_time_order
from tidemill.query.series_rows import Description
from tidemill.query.window_frames import window_frame
from tidemill.store.client import Store, run_parallel

MAX_POINTS: Final = 1_000_000  # values that an analysis reads
MAX_DECOMPOSED: Final = 100_000  # of which a decomposition's columns are answered
LATEST_POINTS: Final = 10_000  # instants that a forecast reads: twice the slots that it uses, for those without a value
WHOLE: Final = 0.9  # of the median count: the shortest month has 0.93 of the points of a usual one
_SUBJECT_BYTES: Final = 4 << 10
_KEPT_BYTES: Final = 4 << 20
_SCREEN: Final = 1_000  # windows of a question that a screen shows
_SAFE: Final = 0.5  # of the most values: the range of those that were not read is estimated
_ROWS_FOR_LATEST: Final = 6 * LATEST_POINTS  # rows among which these are looked for: some are of replaced points


class AnalysedSeries(msgspec.Struct, frozen=True):
    """A series and the state of its points in a range: rows, hash, highest offset `seq`, last instant (None: empty)."""

    tenant: str
    described: Description
    span: TimeRange
    rows: int
    hash: str
    seq: int
    last_ns: int | None

    @property
    def id(self) -> str:
        """The id of the series."""
        return format_series(self.described.series)

    @property
    def key(self) -> tuple[Any, ...]:
        """What an answer about the range depends on, beside parameters."""
        described = self.described
        return (self.tenant, described.series, described.deleted_seq, described.unit, self.span, self.rows, self.hash)


class SampleArrays(msgspec.Struct, frozen=True):
    """Values (float64; NaN: missing) at ascending `times_ns` (int64 ns, UTC)."""

    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]


class AnalysisQueries:
    """Reads the subjects of analyses. Raises NotFoundError as `SeriesQueries` does, and what the store raises."""

    def __init__(self, store: Store, series: SeriesQueries) -> None:
        self._store, self._series = store, series
        self._kept: Kept[AnalysedSeries] = Kept(store.generations, _KEPT_BYTES, _SUBJECT_BYTES)

    def subject(self, tenant: str, series: str, start: int | None, end: int | None) -> AnalysedSeries:
        """The series of this id with the state of its points in [start, end)."""
        span, generation = time_range(start, end), self._series.generation(series)
        kept = self._kept.get((tenant, series, span))
        if kept is not None and self._series.describe(tenant, series):  # which raises where it is being deleted
            return kept
        described, [state] = run_parallel(
            lambda: self._series.describe(tenant, series), lambda: self._state(tenant, series, span, 0)
        )
        if described.deleted_seq:
            [state] = self._state(tenant, series, span, described.deleted_seq)
        last = state["last"] if state["rows"] else None
        subject = AnalysedSeries(tenant, described, span, state["rows"], state["hash"], state["seq"], last)
        self._kept.put((tenant, series, span), generation, subject, _SUBJECT_BYTES)
        return subject

    def is_unchanged(self, subject: AnalysedSeries) -> bool:
        """Whether the state of the subject's points is what it was."""
        if self._kept.get((subject.tenant, subject.id, subject.span)) is subject:
            return True
        [state] = self._state(subject.tenant, subject.id, subject.span, subject.described.deleted_seq)
        return (state["rows"], state["hash"]) == (subject.rows, subject.hash)

    def samples(self, subject: AnalysedSeries, query: AnalysisQuery, most: int = MAX_POINTS) -> SampleArrays:
        """The samples in the range, or one for each whole window with points where `every` is given.

        Raises TooBigQuestionError above `most` of them.
        """
        if query.every is not None:
            agg = (query.agg, "count") if query.agg != "count" else ("count",)
            windows = PointsQuery(start=query.start, end=query.end, every=query.every, agg=agg, tz=query.zone)
            series = [subject.described]
            frame, _ = window_frame(self._store, subject.tenant, series, windows, query.every, limit=most + 1)
        else:
            frame = samples_frame(self._store, subject.tenant, subject.described, subject.span, most + 1)
        if len(frame) > most:
            raise _too_many(subject, query, most, frame["ns"])
        return _ordered(frame, "value") if query.every is None else _ordered(whole_windows(frame), query.agg)

    def latest(self, subject: AnalysedSeries, query: AnalysisQuery, most: int = LATEST_POINTS) -> SampleArrays:
        """As `samples`, of the last `most` instants with a value; with `every` of all windows, as there are at most
        MAX_POINTS."""
        if query.every is not None:
            return self.samples(subject, query)
        bound = self._bound(subject)
        begin = self._store.rows("analysis_begin", points=most, rows=_ROWS_FOR_LATEST, **bound)
        span = TimeRange(begin[0]["ns"] if begin else bound["first"], bound["last"])
        frame = samples_frame(self._store, subject.tenant, subject.described, span, MAX_POINTS)
        return _ordered(frame, "value")

    def _state(self, tenant: str, series: str, span: TimeRange, deleted_seq: int) -> list[dict[str, Any]]:
        try:
            number = parse_series(series)
        except ValueError:
            return [{"rows": 0, "hash": "", "seq": 0, "last": 0}]  # `describe` raises
        bound = {"tenant": tenant, "series": number, "first": span.first_ns, "last": span.last_ns}
        return self._store.rows("analysis_state", deleted_seq=deleted_seq, **bound)

    def _bound(self, subject: AnalysedSeries) -> dict[str, Any]:
        return {
            "tenant": subject.tenant,
            "series": subject.described.series,
            "deleted_seq": subject.described.deleted_seq,
            "first": subject.span.first_ns,
            "last": subject.span.last_ns,
        }


def task_subject(subject: AnalysedSeries, query: AnalysisQuery) -> TaskSubject:
    """What a task is told of the series that it analyses."""
    head = {
        "id": subject.id,
        "unit": answered_unit(subject.described.unit, query),
        "every": None if query.every is None else query.every.text,
        "agg": None if query.every is None else query.agg,
        "as_of": {"seq": subject.seq, "last": None if subject.last_ns is None else format_instant(subject.last_ns)},
    }
    return TaskSubject(head, subject.described.field, query.tz)


def answered_unit(unit: str, query: AnalysisQuery) -> str | None:
    """The unit of the samples of a series with this unit: that of the aggregate where there are windows."""
    return unit or None if query.every is None else aggregate_units(unit, [query.agg]).get(query.agg)


def samples_of(times_ns: NDArray[np.int64], values: NDArray[np.float64]) -> SampleArrays:
    """SampleArrays at times in order; of several values at one instant the mean, which is missing where all are."""
    if (times_ns[1:] > times_ns[:-1]).all():
        return SampleArrays(times_ns, values)
    once = pl.DataFrame({"ns": times_ns, "value": values}).with_columns(pl.col("value").fill_nan(None))
    means = once.group_by("ns").agg(pl.col("value").mean()).sort("ns")
    return SampleArrays(means["ns"].to_numpy(), means["value"].to_numpy())


def whole_windows(frame: pl.DataFrame) -> pl.DataFrame:
    """The windows (ascending `ns`, with their `count` of points) without a first or last one that has less than WHOLE
    of the median count: the range or the series begins or ends within it, so that its sum is no sum of a window."""
    if len(frame) < 3:
        return frame
    counts = frame["count"].to_numpy()
    enough = WHOLE * float(np.median(counts))
    first, last = int(counts[0] < enough), int(counts[-1] < enough)
    return frame.slice(first, len(frame) - first - last)


def _ordered(frame: pl.DataFrame, column: str) -> SampleArrays:
    """The rows of a frame as samples."""
    values = frame[column].cast(pl.Float64).to_numpy()  # null becomes NaN
    return samples_of(*in_time_order(frame["ns"].to_numpy(), np.asarray(values, dtype=np.float64)))


def _too_many(subject: AnalysedSeries, query: AnalysisQuery, most: int, seen_ns: pl.Series) -> TooBigQuestionError:
    """The refusal of more values than are analysed, of which those at `seen_ns` were read, in no order."""
    every, last = query.every, int(seen_ns.max()) if subject.last_ns is None else subject.last_ns  # type: ignore[arg-type]
    first = int(seen_ns.min()) if query.start is None else query.start  # type: ignore[arg-type]  # an int, as the column is
    length = max(last - first, 1)
    part = int(length * most / max(subject.rows, most + 1)) if every is None else most * every.nominal_ns
    newest = format_instant(max(first, last - int(_SAFE * part)))
    fitting, shown = (window_length_for(count, first, last + 1).text for count in (int(_SAFE * most), _SCREEN))
    what = "values" if every is None else f"windows of {every.text}"
    questions = (
        NearestQuestion(f"the same range in windows of {fitting}", {"every": fitting}),
        NearestQuestion(f"{what} from {newest} on", {"start": newest}),
        NearestQuestion(f"the same range in windows of {shown}", {"every": shown}),
    )
    longer = "windows" if every is None else "longer windows"
    message = f"There are more than {most:,} {what}, the most that are analysed: ask for {longer} or a shorter range: "
    message += "; ".join(question.says for question in questions)
    return TooBigQuestionError("max_analysis_points", most, message, questions)
