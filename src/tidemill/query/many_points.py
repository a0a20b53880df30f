"""Points of several series in one answer: windows (columns or rows), or raw points (rows).

All series of an answer come from one statement to the store. Columns share the times of their windows: where a series
has no points in a window of another, its values are null and its counts 0.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from tidemill.model.offset import Reach
from tidemill.query.answers import Page
from tidemill.query.chosen_series import bound_series, choose_series
from tidemill.query.cursors import encode_cursor
from tidemill.query.gaps import WindowBounds, WindowEvidence
from tidemill.query.ladder import LADDER, longer, window_length_for
from tidemill.query.many_points_answers import columns_page, raw_columns_page, rows_page
from tidemill.query.many_points_query import ManyPointsQuery, check_many_points_query, with_evidence
from tidemill.query.nearest import MAX_CELLS, too_many_windows
from tidemill.query.parameters import quality_params, time_range
from tidemill.query.readers import WindowLength
from tidemill.query.series import Description, Hidden
from tidemill.query.window_frames import BEFORE_ALL, align, points_extent, span_of, window_frame
from tidemill.store.client import Store


class ManyPoints:
    """Reads points of several series."""

    def __init__(self, store: Store, hidden: Hidden, evidence: WindowEvidence, applied: Callable[[str], Reach]) -> None:
        self._store, self._hidden = store, hidden
        self._evidence, self._applied = evidence, applied

    def read_many(self, tenant: str, query: ManyPointsQuery, now_ns: int) -> Page:
        """A page; gaps end `now_ns` at the latest. Raises InputError for parameters that contradict each other,
        NotFoundError for unknown series, LimitError for a question that is too big."""
        began = time.perf_counter()
        check_many_points_query(query)
        series = choose_series(self._store, tenant, query, query.series, self._hidden)
        if query.in_windows:
            return self._windows(tenant, query, series, now_ns, began)
        return self._raw(tenant, query, series, began)

    def _windows(
        self, tenant: str, query: ManyPointsQuery, series: Sequence[Description], now_ns: int, began: float
    ) -> Page:
        applied = self._applied(tenant) if query.evidence else ()  # before any point is read
        after = query.cursor[0] if query.cursor else BEFORE_ALL
        limit = min(query.limit, max(1, MAX_CELLS // len(series)))
        wanted = with_evidence(query) if query.evidence else query
        frame, every = self.windows(tenant, wanted, series, after, limit + 1)
        begins = frame["ns"].unique().sort()
        following = encode_cursor(begins[limit - 1], 0, 0) if len(begins) > limit else None
        frame = frame.filter(pl.col("ns") <= begins[limit - 1]) if following else frame
        page = frame.select("series", "ns", *query.aggregates)
        head = answer_head(query, every)
        head |= {"windows": min(len(begins), limit), "points_read": points_in(frame)}
        if query.evidence and len(begins):
            windows = _bounds(query, begins, limit, every)
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
        every = query.every
        if query.points is None:
            return window_frame(self._store, tenant, series, query, every, after=after, limit=limit)[0], every
        start, end = self._extent(tenant, query, series)
        every = window_length_for(query.points, start, end)
        if len(series) * query.points > MAX_CELLS:
            what = f"{query.points} windows of {len(series)} series are more than {MAX_CELLS} values of an aggregate"
            most = MAX_CELLS // len(series)
            raise too_many_windows("max_cells", MAX_CELLS, what, every=every, start_ns=start, end_ns=end, most=most)
        while True:
            frame, _ = window_frame(self._store, tenant, series, query, every, after=BEFORE_ALL, limit=query.points + 1)
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
        frame = self._store.frame(
            "many_points",
            tenant=tenant,
            **bound_series(series),
            first=max(span.first_ns, after_ns),
            firsts=[BEFORE_ALL] * len(series),
            last=span.last_ns,
            nulls=1,
            after_ns=after_ns,
            after_series=after_series,
            after_ordinal=after_ordinal,
            limit=query.limit + 1,
            **quality_params(query.quality, query.marked),
        )
        page = frame.head(query.limit)
        last = page.row(-1, named=True) if len(frame) > len(page) else None
        following = encode_cursor(last["ns"], last["series"], last["ordinal"]) if last else None
        head = answer_head(query, None)
        head |= {"windows": 0, "points_read": len(page), "took_ms": milliseconds_since(began)}
        page = page.select("series", "ns", "value")
        if query.in_columns:
            return raw_columns_page(page, series, query, head, following)
        return rows_page(page, series, query, head, following)


def answer_head(query: ManyPointsQuery, every: WindowLength | None) -> dict[str, Any]:
    """The members of an answer that say what its windows are; `ladder` where the server picked their length from it."""
    ladder = [length.text for length in LADDER] if query.points is not None else None
    return {"every": every.text if every else None, "tz": query.tz, "source": "points", "ladder": ladder}


def points_in(frame: pl.DataFrame) -> int:
    """How many points the windows of a frame were made of: those with values, and where known those without one."""
    columns = [name for name in ("count", "missing") if name in frame.columns]
    return sum(int(frame[name].sum()) for name in columns)


def milliseconds_since(began: float) -> float:
    """The time since a moment of the performance counter, in ms."""
    return round((time.perf_counter() - began) * 1000, 3)


def _bounds(query: ManyPointsQuery, begins: pl.Series, limit: int, every: WindowLength | None) -> dict[str, Any]:
    """The windows of a page and the range of time that they take; `begins` may have one more than the page."""
    assert every is not None
    span, page = span_of(query), begins.head(limit).to_list()
    end = int(begins[limit]) if len(begins) > limit else int(page[-1]) + every.nominal_ns
    right = int(query.closed == "right")
    first, last = max(span.first_ns, page[0] + right), min(span.last_ns, end - 1 + right)
    return {"begins": page, "end": end, "first": first, "last": last, "closed_right": right}
