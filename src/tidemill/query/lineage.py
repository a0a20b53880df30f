"""Lineage of a point or a rollup window of a series: of a point its payload, record and rules, the values that it
superseded, and the records that were rejected as its duplicates."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.model.ids import format_series
from tidemill.model.time import format_instant
from tidemill.query import answers, readers
from tidemill.query.answers import AnyJson, Page
from tidemill.query.cursors import Seals
from tidemill.query.origins import Origin, Origins, ReplacedValue, Rules, judging_rules, payload_origin, replaced_value
from tidemill.query.parameters import Parameter, QueryParameters, SealedCursor, Unit, limit_to
from tidemill.query.point_changes import PublishedChange, published_changes
from tidemill.query.points import flag_words
from tidemill.query.rollups import RollupWindow, windows_at
from tidemill.query.series import SeriesQueries
from tidemill.query.series_rows import Description
from tidemill.query.window_lineage import WindowLineage, WindowLineageQueries
from tidemill.store.client import Store, run_parallel

MAX_POINTS: Final = 1_000  # of one instant, for a feed that keeps all points of an instant
MAX_REPLACED: Final = 10_000
_INSTANT: Final = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800"]}
_INSTANT_TEXT: Final = "RFC 3339, a date (midnight UTC), or a number since the epoch with `unit`."


class LineageQuery(QueryParameters, frozen=True):
    """The lineage of a point (`time`) or of a window (`window`), one of the two."""

    time: Annotated[
        int | None, Parameter(f"Of the point at this instant. {_INSTANT_TEXT}", readers.instant, _INSTANT)
    ] = None
    window: Annotated[
        int | None,
        Parameter(f"Of the rollup window that begins at this instant. {_INSTANT_TEXT}", readers.instant, _INSTANT),
    ] = None
    unit: Unit = None
    limit: Annotated[int, limit_to(1000)] = 100
    cursor: SealedCursor = None


class PointOrigin(msgspec.Struct, frozen=True):
    """A current point and where it comes from: `index` is its record's index in the payload, `record` the record as it
    came (null when the payload is deleted or larger than 16 MiB)."""

    value: float | None
    flags: list[str]
    marks: list[str]
    attributes: dict[str, str]
    index: int
    payload: Origin
    record: AnyJson
    rules: Rules


class DuplicateRecord(msgspec.Struct, frozen=True):
    """A record that was rejected as a duplicate of the record at `winner_index` of payload `winner`."""

    receipt: str
    index: int
    received_at: str
    winner: str | None
    winner_index: int


class PointLineage(msgspec.Struct, frozen=True):
    """The lineage of one instant of a series. `points` has one item, unless the feed keeps all of one instant."""

    series: str
    feed: str
    field: str
    tags: dict[str, str]
    unit: str | None
    time: str
    points: list[PointOrigin]
    replaced: list[ReplacedValue]
    duplicates: list[DuplicateRecord]
    changes: list[PublishedChange]
    windows: list[RollupWindow]
    links: dict[str, str]


class LineageQueries:
    """Reads the lineage of points and windows. Raises NotFoundError for a series or an instant without points."""

    def __init__(self, store: Store, series: SeriesQueries, book: FeedBook, seals: Seals) -> None:
        self._store, self._series = store, series
        self._windows = WindowLineageQueries(store, book, seals)
        self._origins = Origins(store, book)

    def answer_lineage(self, tenant: str, series: str, query: LineageQuery) -> Page:
        """PointLineage or WindowLineage. Raises InputError unless one of `time` and `window` is given."""
        at, window = query.time, query.window
        if (at is None) == (window is None):
            message = "give 'time' for a point or 'window' for a rollup window, one of the two"
            code = "missing" if at is None else "contradiction"
            raise InputError(message, (Fault("$query.time", code, message),))
        if at is not None:
            return answers.json_page(self.point_lineage(tenant, series, at))
        assert window is not None
        lineage = self.window_lineage(tenant, series, window, query.limit, query.cursor)
        return answers.json_page(lineage, lineage.next)

    def window_lineage(
        self, tenant: str, series: str, begin_ns: int, limit: int, cursor: str | None = None
    ) -> WindowLineage:
        """The lineage of the window that begins at an instant (ns), with at most `limit` payloads after `cursor`.

        Raises InputError for an instant at which no window of the feed begins, and for a feed without rollups.
        """
        return self._windows.window_lineage(tenant, self._series.describe(tenant, series), begin_ns, limit, cursor)

    def point_lineage(self, tenant: str, series: str, at_ns: int) -> PointLineage:
        """The lineage of the points at an instant (ns). NotFoundError names the nearest points."""
        described = self._series.describe(tenant, series)
        feed = self._origins.feed_version(tenant, described.feed, None)
        bound = {"tenant": tenant, "series": described.series, "deleted_seq": described.deleted_seq}
        points, old, windows, changes = run_parallel(
            lambda: self._store.rows("lineage_points", **bound, at=at_ns, limit=MAX_POINTS),
            lambda: self._store.rows("lineage_replaced", **bound, first=at_ns, last=at_ns, limit=MAX_REPLACED),
            lambda: windows_at(self._store, tenant, described.series, at_ns, feed),
            lambda: published_changes(
                self._store,
                tenant,
                [described.series],
                deleted_seq=described.deleted_seq,
                first_ns=at_ns,
                last_ns=at_ns,
            ),
        )
        if not points:
            raise self._no_point(bound, described, at_ns)
        seqs = {row["seq"] for row in points}
        named = seqs | {row[name] for row in old for name in ("seq", "by_seq")}
        facts, duplicates = run_parallel(
            lambda: self._origins.payload_facts(tenant, named),
            lambda: self._duplicates(tenant, described, at_ns, seqs),
        )
        return PointLineage(
            series=series,
            feed=described.feed,
            field=described.field,
            tags=described.tags,
            unit=described.unit or None,
            time=format_instant(at_ns),
            points=[self._point(tenant, described, row, facts.get(row["seq"])) for row in points],
            replaced=[replaced_value(row, facts) for row in old],
            duplicates=[_duplicate_record(row, facts) for row in duplicates],
            changes=changes,
            windows=windows,
            links={
                "series": f"/v1/series/{series}",
                "feed": f"/v1/feeds/{described.feed}",
                "why": f"/v1/why?series={series}&time={format_instant(at_ns)}",
            },
        )

    def _point(
        self, tenant: str, described: Description, row: Mapping[str, Any], facts: Mapping[str, Any] | None
    ) -> PointOrigin:
        feed = self._origins.feed_version(tenant, described.feed, facts)
        version = facts["feed_version"] if facts else feed.version if feed else 0
        return PointOrigin(
            value=row["value"],
            flags=flag_words(row["flags"]),
            marks=row["marks"],
            attributes=row["attributes"],
            index=row["idx"],
            payload=payload_origin(facts),
            record=self._origins.record(tenant, feed, facts, row["idx"]),
            rules=judging_rules(described.feed, feed, version, row["marks"]),
        )

    def _duplicates(self, tenant: str, described: Description, at_ns: int, seqs: set[int]) -> list[dict[str, Any]]:
        return self._store.rows(
            "lineage_duplicates",
            tenant=tenant,
            feed=described.feed,
            at=at_ns,
            seqs=sorted(seqs),
            limit=MAX_REPLACED,
        )

    def _no_point(self, bound: Mapping[str, Any], described: Description, at_ns: int) -> NotFoundError:
        near = self._store.rows("lineage_near", **bound, at=at_ns)
        times = " and ".join(format_instant(row["at"]) for row in near)
        series, time = format_series(described.series), format_instant(at_ns)
        return NotFoundError(
            f"nothing stands at {time} in series '{series}'; "
            + (f"the nearest points are at {times}" if near else "it has no points")
            + f". /v1/why?series={series}&time={time} says why"
        )


def _duplicate_record(row: Mapping[str, Any], facts: Mapping[int, Mapping[str, Any]]) -> DuplicateRecord:
    winner = facts.get(row["winner_seq"])
    return DuplicateRecord(
        receipt=row["receipt"],
        index=row["idx"],
        received_at=format_instant(row["received_at"]),
        winner=winner["receipt"] if winner else None,
        winner_index=row["winner_idx"],
    )
