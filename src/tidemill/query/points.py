"""Points of one series: raw pages. Pages of windows are in `point_windows`.

A page of JSON that is not long comes from one statement, with the point after it, from which the cursor follows. Longer
pages and those of other formats are streamed: there the first point after the page is looked up first, so that the
cursor is known before the first byte is sent, and the page itself is a range of (time, ordinal) and needs no limit.
"""

from functools import partial
from typing import Any, Final, Literal

import msgspec
import polars as pl

from tidemill.model.ids import format_series
from tidemill.query import answers
from tidemill.query.aggregates import FROM_THE_POINT_BEFORE
from tidemill.query.answers import Page
from tidemill.query.cursors import encode_cursor
from tidemill.query.files import csv_head, json_lines
from tidemill.query.instants import instant_texts
from tidemill.query.kept_pages import KeptPages
from tidemill.query.parameters import quality_params, time_range
from tidemill.query.plain_points import plain_points
from tidemill.query.planner import WindowPlanner
from tidemill.query.point_files import points_file, with_head
from tidemill.query.point_windows import point_windows
from tidemill.query.points_query import JSON_PAGE, PointsQuery, check_points_query
from tidemill.query.series import SeriesQueries
from tidemill.query.series_rows import Description
from tidemill.query.states import Known, is_closed, series_tag, tagged, unchanged
from tidemill.query.window_frames import span_of
from tidemill.store.client import Store

COLUMNS: Final = ("time", "value", "flags", "marks")
FLAGS: Final = ("fold_earlier", "fold_later", "gap_shifted", "shifted")  # a bit each, the lowest first


def flag_words(bits: int) -> list[str]:
    """The flags whose bits are set."""
    return [word for bit, word in enumerate(FLAGS) if bits >> bit & 1]


_NO_WORDS: Final = pl.lit([], dtype=pl.List(pl.String))
_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1


class Point(msgspec.Struct, frozen=True):
    """One point; `value` is null for a missing sample. `flags` say how a local time was resolved: `fold_earlier` or
    `fold_later` (it occurs twice, and is taken as that instant), `gap_shifted` (it does not exist, and is put forward
    by the length of the gap), `shifted` (the feed's shift was added). `marks` are the reason codes of rules that
    flagged the point. In CSV both are joined by spaces."""

    time: str
    value: float | None
    flags: list[Literal["fold_earlier", "fold_later", "gap_shifted", "shifted"]]
    marks: list[str]


class PointPage(msgspec.Struct, frozen=True):
    """A page of raw points."""

    series: str
    tz: str
    items: list[Point]
    next: str | None


class PointQueries:
    """Reads the points of a series. Raises NotFoundError as `SeriesQueries` does."""

    def __init__(self, store: Store, series: SeriesQueries, planner: WindowPlanner) -> None:
        self._store, self._series, self._planner = store, series, planner
        self._kept = KeptPages(store.generations)

    def read_points(self, tenant: str, series: str, query: PointsQuery, known: Known = ()) -> Page:
        """A page of points, or of windows; none where `known` has the tag of its state. Raises InputError for
        parameters that contradict each other."""
        check_points_query(query)
        generation = self._series.generation(series)  # before anything is read
        described = self._series.describe(tenant, series)
        rollup_s = self._planner.rollup_seconds(tenant, [described], query, query.every)
        has_tag = is_closed(query) and FROM_THE_POINT_BEFORE.isdisjoint(query.agg)
        if _is_streamed(query):
            tag = None
            if has_tag:
                tag = series_tag(self._store, tenant, query, [described], span_of(query), rollup_s=rollup_s)
                if tag in known:
                    return unchanged(tag)
            return tagged(self._page(tenant, described, query, rollup_s), tag)
        question = ["points", tenant, described.series, rollup_s, query]
        make = partial(self._page, tenant, described, query, rollup_s)
        return self._kept.answer(question, generation, make, known, has_tag=has_tag)

    def _page(self, tenant: str, described: Description, query: PointsQuery, rollup_s: int) -> Page:
        if query.every is not None or query.agg:
            return point_windows(self._store, tenant, described, query, rollup_s)
        return self._raw(tenant, described, query)

    def _raw(self, tenant: str, described: Description, query: PointsQuery) -> Page:
        kind, descending = query.format, query.order == "desc"
        if query.is_whole_file and kind in answers.COLUMNAR and not descending:
            span, quality = time_range(query.start, query.end), quality_params(query.quality, query.marked)
            words: dict[str, Any] = {"kind": kind, "zone": query.tz, "names": False}
            chosen = {described.series: described.deleted_seq}
            return points_file(self._store, tenant, chosen, span, **words, nulls=True, quality=quality)
        if kind == "json" and query.page <= JSON_PAGE:
            return self._json_page(tenant, described, query)
        bound, following = self._bounds(tenant, described, query)
        order = "_descending" if descending else ""
        if kind in answers.COLUMNAR:
            stream = self._store.stream(f"points_typed{order}", answers.STORE_FORMATS[kind], **bound)
            return Page(stream, answers.MEDIA_TYPES[kind], following)
        name = f"points_flagged_csv{order}" if kind == "csv" else f"points_flagged{order}"
        rows = self._store.stream(name, answers.STORE_ROWS[kind], **bound, tz=query.tz, flags=list(FLAGS))
        if kind != "json":
            head = csv_head(COLUMNS) if kind == "csv" else b""
            return Page(with_head(head, rows), answers.MEDIA_TYPES[kind], following)
        top = {"series": format_series(described.series), "tz": query.tz}
        return Page(answers.object_with_items(top, answers.json_array(rows), {"next": following}), next=following)

    def _json_page(self, tenant: str, described: Description, query: PointsQuery) -> Page:
        found = self._one_page(tenant, described, query)
        rows, following = found.head(query.page), None
        if found.height > rows.height:
            following = encode_cursor(int(found["ns"][-1]), int(found["ordinal"][-1]))
        items = answers.json_array([json_lines(_items(rows, query.tz))])
        top = {"series": format_series(described.series), "tz": query.tz}
        return Page(b"".join(answers.object_with_items(top, items, {"next": following})), next=following)

    def _one_page(self, tenant: str, described: Description, query: PointsQuery) -> pl.DataFrame:
        """The points of a page and the one after it: `ns`, `ordinal`, `value`, `flags`; `marks` where one has any."""
        descending, limit = query.order == "desc", query.page + 1
        if query.cursor is None and query.quality is None and query.marked is None:
            span = time_range(query.start, query.end)
            rows = plain_points(self._store, tenant, described, span, limit, descending=descending)
            if rows is not None and not rows["marked"].sum():
                return rows
        bound = self._range(tenant, described, query)
        return self._store.frame(f"points_one_page{'_descending' if descending else ''}", **bound, limit=limit)

    def _range(self, tenant: str, described: Description, query: PointsQuery) -> dict[str, Any]:
        """Parameters that select the points from where the page begins, as a range of (time, ordinal)."""
        span, low, high = time_range(query.start, query.end), _LOWEST, _HIGHEST
        bound: dict[str, Any] = {
            "tenant": tenant,
            "series": described.series,
            "deleted_seq": described.deleted_seq,
            "first": span.first_ns,
            "last": span.last_ns,
            **quality_params(query.quality, query.marked),
        }
        if query.cursor and query.order == "desc":
            bound["last"], high = query.cursor
        elif query.cursor:
            bound["first"], low = query.cursor
        return {**bound, "first_ordinal": low, "last_ordinal": high}

    def _bounds(self, tenant: str, described: Description, query: PointsQuery) -> tuple[dict[str, Any], str | None]:
        """Parameters that select the page as a range of (time, ordinal), both ends included, and the next cursor."""
        bound = self._range(tenant, described, query)
        if query.is_whole_file:
            return bound, None
        descending = query.order == "desc"
        question, beyond_it = ("points_behind", "first_ordinal") if descending else ("points_ahead", "last_ordinal")
        looked_up = {name: value for name, value in bound.items() if name != beyond_it}
        beyond = self._store.rows(question, **looked_up, limit=query.page)
        if not beyond:
            return bound, None
        ns, ordinal = beyond[0]["ns"], beyond[0]["ordinal"]
        if descending:
            bound |= {"first": ns, "first_ordinal": ordinal + 1}
        else:
            bound |= {"last": ns, "last_ordinal": ordinal - 1}
        return bound, encode_cursor(ns, ordinal)


def _is_streamed(query: PointsQuery) -> bool:
    """Whether the answer is sent while the store still writes it."""
    in_windows = query.every is not None or bool(query.agg)
    return query.is_whole_file or not (in_windows or (query.format == "json" and query.page <= JSON_PAGE))


def _items(rows: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Rows of a page (without `marks`: no row has any) as its items: `time`, `value`, the words of `flags`, `marks`."""
    marks = pl.col("marks") if "marks" in rows.columns else _NO_WORDS.alias("marks")
    flags = _words(rows["flags"]) if rows["flags"].sum() else _NO_WORDS
    return rows.select(instant_texts(pl.col("ns"), zone).alias("time"), "value", flags.alias("flags"), marks)


def _words(flags: pl.Series) -> pl.Expr:
    bits = flags.unique().to_list()
    words = pl.Series([flag_words(number) for number in bits], dtype=pl.List(pl.String))
    return pl.lit(words.gather(flags.replace_strict(bits, pl.Series(range(len(bits))), return_dtype=pl.UInt32)))
