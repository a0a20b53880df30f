"""Points of several series in one answer: windows (columns or rows), or raw points (rows).

All series of an answer come from one statement to the store. Columns share the times of their windows: where a series
has no points in a window of another, its values are null and its counts 0.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import polars as pl

from tidemill.model.offset import Reach
from tidemill.query.aggregates import FROM_THE_POINT_BEFORE
from tidemill.query.answers import Page
from tidemill.query.as_of import PastAnswers
from tidemill.query.chosen_series import bound_series
from tidemill.query.cursors import encode_cursor
from tidemill.query.files import file_page
from tidemill.query.gaps import WindowBounds, WindowEvidence
from tidemill.query.kept_pages import KeptPages
from tidemill.query.ladder import LADDER, longer, window_length_for
from tidemill.query.many_points_answers import columns_page, columns_table, raw_columns_page, rows_page, rows_table
from tidemill.query.many_points_query import ManyPointsQuery, check_many_points_query, with_evidence
from tidemill.query.nearest import MAX_CELLS, MAX_WINDOWS, too_many_windows
from tidemill.query.parameters import quality_params, time_range
from tidemill.query.plain_points import plain_points
from tidemill.query.planner import WindowPlanner
from tidemill.query.point_files import points_file
from tidemill.query.readers import WindowLength
from tidemill.query.series import Hidden
from tidemill.query.series_choices import SeriesChoices
from tidemill.query.series_extents import SeriesExtents
from tidemill.query.series_rows import Description, SeriesRows
from tidemill.query.states import Known, is_closed, series_tag, tagged, unchanged
from tidemill.query.thinned_points import thinned_points
from tidemill.query.whole_range import whole_range_frame
from tidemill.query.window_frames import BEFORE_ALL, align, points_extent, span_of, window_frame
from tidemill.store.client import Store
from tidemill.store.generations import POINTS


class ManyPoints:
    """Reads points of several series."""

    def __init__(
        self,
        store: Store,
        hidden: Hidden,
        applied: Callable[[str], Reach],
        *,
        evidence: WindowEvidence,
        planner: WindowPlanner,
        history: PastAnswers,
        rows: SeriesRows,
        extents: SeriesExtents,
        cells: int = MAX_CELLS,
    ) -> None:
        """`cells`: values of an aggregate that are read at once."""
        self._store, self._cells, self._extents = store, cells, extents
        self._choices, self._kept = SeriesChoices(store, hidden, rows), KeptPages(store.generations, timed=True)
        self._evidence, self._applied, self._planner, self._history = evidence, applied, planner, history

    def read_many(self, tenant: str, query: ManyPointsQuery, now_ns: int, known: Known = ()) -> Page:
        """A page, or none where `known` has the tag of its state; gaps end `now_ns` at the latest.

        Raises InputError for parameters that contradict each other, NotFoundError for unknown series, LimitError for a
        question that is too big.
        """
        began = time.perf_counter()
        check_many_points_query(query)
        series, chosen = self._choices.choose(tenant, query, query.series)
        self.check_as_of(tenant, query, series, now_ns)
        if query.evidence or query.as_of is not None:  # answers that follow from more than the points
            return self._page(tenant, query, series, now_ns, began)
        if query.is_whole_file and query.thin is None:
            tag = self._tag(tenant, query, series)
            return (
                unchanged(tag) if tag is not None and tag in known else tagged(self._file(tenant, query, series), tag)
            )
        generations, numbers = self._store.generations, [item.series for item in series]
        of_points = generations.of_series(POINTS, numbers)  # before any of them is read
        generation = None if of_points is None else of_points.joined(chosen)
        question = ["many", tenant, numbers, self.rollup_seconds(tenant, query, series), query]
        has_tag = is_closed(query) and FROM_THE_POINT_BEFORE.isdisjoint(query.agg)
        make = partial(self._page, tenant, query, series, now_ns, began)
        return self._kept.answer(question, generation, make, known, has_tag=has_tag)

    def _page(
        self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], now_ns: int, began: float
    ) -> Page:
        if query.thin is not None:
            return self._thinned(tenant, query, series, began)
        if query.is_whole_file:
            return self._file(tenant, query, series)
        if query.in_windows:
            return self._windows(tenant, query, series, now_ns, began)
        return self._raw(tenant, query, series, began)

    def check_as_of(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], now_ns: int) -> None:
        """Raises InputError where the answer as of the instant that a question names, if it names one, is not known."""
        if query.as_of is not None:
            self._history.check(tenant, series, span_of(query), query.as_of, now_ns)

    def _tag(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description]) -> str | None:
        """The tag of a file about a closed range that follows from the points in it alone."""
        if not FROM_THE_POINT_BEFORE.isdisjoint(query.agg) or not is_closed(query):
            return None
        rollup_s = self.rollup_seconds(tenant, query, series)
        return series_tag(self._store, tenant, query, series, span_of(query), rollup_s=rollup_s)

    def rollup_seconds(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description]) -> int:
        """The length (s) of the rollup windows that answer a question; 0: points do."""
        if query.as_of is not None:
            return 0
        return self._planner.rollup_seconds(tenant, series, query, query.every)

    def _thinned(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], began: float) -> Page:
        frame, counts = thinned_points(self._store, tenant, query, series)
        head = answer_head(query, None) | {"windows": 0, "points_read": sum(counts.values())}
        head["took_ms"] = milliseconds_since(began)
        if query.in_columns:
            return raw_columns_page(frame, series, query, head, counts=counts)
        return rows_page(frame, series, query, head, None)

    def _file(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description]) -> Page:
        """Everything as one file; raw points series by series."""
        if query.in_windows:
            return file_page(self._window_tables(tenant, query, series), query.format, query.tz)
        span, quality = time_range(query.start, query.end), quality_params(query.quality, query.marked)
        words: dict[str, Any] = {"kind": query.format, "zone": query.tz}
        chosen = {item.series: item.deleted_seq for item in series}
        return points_file(self._store, tenant, chosen, span, **words, nulls=True, quality=quality)

    def _window_tables(
        self, tenant: str, query: ManyPointsQuery, series: Sequence[Description]
    ) -> Iterator[pl.DataFrame]:
        """The windows as tables for a file, in parts."""
        limit, after = min(MAX_WINDOWS, max(1, self._cells // len(series))), BEFORE_ALL
        while True:
            frame, _ = self.windows(tenant, query, series, after, limit + 1)
            begins = frame["ns"].unique().sort()
            more = len(begins) > limit
            part = frame.filter(pl.col("ns") <= begins[limit - 1]) if more else frame
            part = part.select("series", "ns", *query.aggregates)
            if query.in_columns:
                yield columns_table(align(part, begins.head(limit), series), series, query.aggregates)
            else:
                yield rows_table(part, series)
            if not more:
                return
            after = int(begins[limit - 1])

    def _windows(
        self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], now_ns: int, began: float
    ) -> Page:
        applied = self._applied(tenant) if query.evidence else ()  # before any point is read
        after = query.cursor[0] if query.cursor else BEFORE_ALL
        limit = min(query.page, max(1, self._cells // len(series)))
        wanted = with_evidence(query) if query.evidence else query
        frame, every = self.windows(tenant, wanted, series, after, limit + 1)
        begins = frame["ns"].unique().sort()
        following = encode_cursor(begins[limit - 1], 0, 0) if len(begins) > limit else None
        frame = frame.filter(pl.col("ns") <= begins[limit - 1]) if following else frame
        page = frame.select("series", "ns", *query.aggregates)
        head = answer_head(query, every, rollups=bool(self.rollup_seconds(tenant, wanted, series)))
        read = 0 if head["source"] == "rollups" else points_in(frame)
        head |= {"windows": min(len(begins), limit), "points_read": read}
        if query.evidence and len(begins):
            windows = window_bounds(query, begins, limit, every)
            bounds = WindowBounds(**windows, now=now_ns, applied=applied)
            head["evidence"], head["gaps"] = self._evidence.read(tenant, series, frame, bounds)
        head["took_ms"] = milliseconds_since(began)
        if query.in_columns:
            return columns_page(align(page, begins.head(limit), series), series, query, head, following)
        return rows_page(page, series, query, head, following)

    def windows(
        self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], after: int, limit: int
    ) -> tuple[pl.DataFrame, WindowLength | None]:
        """The frame of the windows of a question, and their length; with `points` one of the ladder."""
        every, bound = query.every, dict[str, Any]()
        if (whole := whole_range_frame(self._extents, tenant, series, query)) is not None:
            return whole, every
        if query.points is None:
            bound = {"after": after, "limit": limit, "as_of": query.as_of}
            bound["rollup_s"] = self.rollup_seconds(tenant, query, series)
            return window_frame(self._store, tenant, series, query, every, **bound)[0], every
        start, end = self._extent(tenant, query, series)
        every = window_length_for(query.points, start, end)
        if len(series) * query.points > MAX_CELLS:
            what = f"{query.points} windows of {len(series)} series are more than {MAX_CELLS} values of an aggregate"
            most = MAX_CELLS // len(series)
            raise too_many_windows("max_cells", MAX_CELLS, what, every=every, start_ns=start, end_ns=end, most=most)
        while True:
            bound = {"after": BEFORE_ALL, "limit": query.points + 1, "as_of": query.as_of}
            frame, _ = window_frame(self._store, tenant, series, query, every, **bound)
            if frame["ns"].n_unique() <= query.points or every == longer(every):
                return frame.filter(pl.col("ns") > after), every
            every = longer(every)

    def _extent(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description]) -> tuple[int, int]:
        """[start, end) of the range of the question, else of its points (ns)."""
        if query.start is not None and query.end is not None:
            return query.start, query.end
        first, last = points_extent(self._store, tenant, series, span_of(query)) or (0, 0)
        return first if query.start is None else query.start, last + 1 if query.end is None else query.end

    def _raw(self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], began: float) -> Page:
        span = time_range(query.start, query.end)
        after_ns, after_series, after_ordinal = query.cursor or (BEFORE_ALL, 0, BEFORE_ALL)
        bound: dict[str, Any] = {
            "tenant": tenant,
            **bound_series(series),
            "first": max(span.first_ns, after_ns),
            "last": span.last_ns,
            "nulls": 1,
            "after_ns": after_ns,
            "after_series": after_series,
            "after_ordinal": after_ordinal,
            "limit": query.page + 1,
        }
        if query.as_of is not None:
            frame = self._store.frame("many_points_as_of", **bound, as_of=query.as_of)
        else:
            frame = self._raw_frame(query, series, bound)
        page = frame.head(query.page)
        last = page.row(-1, named=True) if len(frame) > len(page) else None
        following = encode_cursor(last["ns"], last["series"], last["ordinal"]) if last else None
        head = answer_head(query, None)
        head |= {"windows": 0, "points_read": len(page), "took_ms": milliseconds_since(began)}
        page = page.select("series", "ns", "value")
        if query.in_columns:
            return raw_columns_page(page, series, query, head, following)
        return rows_page(page, series, query, head, following)

    def _raw_frame(self, query: ManyPointsQuery, series: Sequence[Description], bound: dict[str, Any]) -> pl.DataFrame:
        """The points of a page and the one after it."""
        if len(series) == 1 and query.cursor is None and query.quality is None and query.marked is None:
            span = time_range(query.start, query.end)
            rows = plain_points(self._store, bound["tenant"], series[0], span, bound["limit"])
            if rows is not None:
                return rows.with_columns(series=pl.lit(series[0].series, pl.UInt64))
        quality = quality_params(query.quality, query.marked)
        return self._store.frame("many_points", **bound, **quality, firsts=[BEFORE_ALL] * len(series))


def answer_head(query: ManyPointsQuery, every: WindowLength | None, *, rollups: bool = False) -> dict[str, Any]:
    """The members of an answer that say what its windows are and what they were made of; `ladder` where the server
    picked their length from it."""
    ladder = [length.text for length in LADDER] if query.points is not None and query.thin is None else None
    return {
        "every": every.text if every else None,
        "tz": query.tz,
        "source": "rollups" if rollups else "points",
        "ladder": ladder,
    }


def points_in(frame: pl.DataFrame) -> int:
    """How many points the windows of a frame were made of: those with values, and where known those without one."""
    columns = [name for name in ("count", "missing") if name in frame.columns]
    return sum(int(frame[name].sum()) for name in columns)


def milliseconds_since(began: float) -> float:
    """The time since a moment of the performance counter, in ms."""
    return round((time.perf_counter() - began) * 1000, 3)


def window_bounds(query: ManyPointsQuery, begins: pl.Series, limit: int, every: WindowLength | None) -> dict[str, Any]:
    """The windows of a page and the range of time that they take; `begins` may have one more than the page."""
    assert every is not None
    span, page = span_of(query), begins.head(limit).to_list()
    end = int(begins[limit]) if len(begins) > limit else int(page[-1]) + every.nominal_ns
    right = int(query.closed == "right")
    first, last = max(span.first_ns, page[0] + right), min(span.last_ns, end - 1 + right)
    return {"begins": page, "end": end, "first": first, "last": last, "closed_right": right}
