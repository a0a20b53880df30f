"""Lineage of a series, of a point or a rollup window. Where a point comes from: its payload and place in it, the
record, the rules, what it replaced, what lost to it."""

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
from tidemill.query.origins import Origin, Origins, ReplacedValue, Rules, origin, replaced_value, rules
from tidemill.query.parameters import Parameter, QueryParameters, SealedCursor, Unit, limit_to
from tidemill.query.point_changes import PublishedChange, changes_of
from tidemill.query.points import flag_words
from tidemill.query.rollups import RollupWindow, windows_of
from tidemill.query.series import Description, SeriesQueries
from tidemill.query.window_lineage import WindowLineage, WindowLineageQueries
from tidemill.store.client import Store, run_parallel

MAX_POINTS: Final = 1_000  # of one instant: where a feed keeps all that share a second
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
    """A point that stands and where it comes from: `index` is its record's place in the payload, `record` the record as
    it came (null when the payload is gone or larger than 16 MiB)."""

    value: float | None
    flags: list[str]
    marks: list[str]
    attributes: dict[str, str]
    index: int
    payload: Origin
    record: AnyJson
    rules: Rules


class Loser(msgspec.Struct, frozen=True):
    """A record that lost as a duplicate against the one at `winner_index` of payload `winner`."""

    receipt: str
    index: int
    received_at: str
    winner: str | None
    winner_index: int


class PointLineage(msgspec.Struct, frozen=True):
    """Everything behind one instant of a series. `points` is one, unless the feed keeps all that share an instant."""

    series: str
    feed: str
    field: str
    tags: dict[str, str]
    unit: str | None
    time: str
    points: list[PointOrigin]
    replaced: list[ReplacedValue]
    duplicates: list[Loser]
    changes: list[PublishedChange]
    windows: list[RollupWindow]
    links: dict[str, str]


class LineageQueries:
    """Lineage of points and windows. Raises NotFoundError for a series or an instant that is not there."""

    def __init__(self, store: Store, series: SeriesQueries, book: FeedBook, seals: Seals) -> None:
        self._store, self._series = store, series
        self._windows = WindowLineageQueries(store, book, seals)
        self._origins = Origins(store, book)

    def answer(self, tenant: str, series: str, query: LineageQuery) -> Page:
        """PointLineage or WindowLineage. Raises InputError unless one of `time` and `window` is given."""
        at, window = query.time, query.window
        if (at is None) == (window is None):
            message = "give 'time' for a point or 'window' for a rollup window, one of the two"
            code = "missing" if at is None else "contradiction"
            raise InputError(message, (Fault("$query.time", code, message),))
        if at is not None:
            return answers.encoded(self.point(tenant, series, at))
        assert window is not None
        found = self.window(tenant, series, window, query.limit, query.cursor)
        return answers.encoded(found, found.next)

    def window(self, tenant: str, series: str, begin_ns: int, limit: int, cursor: str | None = None) -> WindowLineage:
        """Where the window that begins at an instant (ns) comes from; at most `limit` of its payloads after `cursor`.

        Raises InputError for an instant at which no window of the feed begins, and for a feed without rollups.
        """
        return self._windows.window(tenant, self._series.describe(tenant, series), begin_ns, limit, cursor)

    def point(self, tenant: str, series: str, at_ns: int) -> PointLineage:
        """Where what stands at an instant (ns) comes from. NotFoundError names the nearest neighbours."""
        described = self._series.describe(tenant, series)
        feed = self._origins.feed(tenant, described.feed, None)
        bound = {"tenant": tenant, "series": described.series, "deleted_seq": described.deleted_seq}
        points, old, windows, changes = run_parallel(
            lambda: self._store.rows("lineage_points", **bound, at=at_ns, limit=MAX_POINTS),
            lambda: self._store.rows("lineage_replaced", **bound, first=at_ns, last=at_ns, limit=MAX_REPLACED),
            lambda: windows_of(self._store, tenant, described.series, at_ns, feed),
            lambda: changes_of(
                self._store,
                tenant,
                [described.series],
                deleted_seq=described.deleted_seq,
                first_ns=at_ns,
                last_ns=at_ns,
            ),
        )
        if not points:
            raise self._nothing(bound, described, at_ns)
        places = {row["seq"] for row in points}
        named = places | {row[name] for row in old for name in ("seq", "by_seq")}
        facts, losers = run_parallel(
            lambda: self._origins.facts(tenant, named),
            lambda: self._losers(tenant, described, at_ns, places),
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
            duplicates=[_loser(row, facts) for row in losers],
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
        feed = self._origins.feed(tenant, described.feed, facts)
        version = facts["feed_version"] if facts else feed.version if feed else 0
        return PointOrigin(
            value=row["value"],
            flags=flag_words(row["flags"]),
            marks=row["marks"],
            attributes=row["attributes"],
            index=row["idx"],
            payload=origin(facts),
            record=self._origins.record(tenant, feed, facts, row["idx"]),
            rules=rules(described.feed, feed, version, row["marks"]),
        )

    def _losers(self, tenant: str, described: Description, at_ns: int, seqs: set[int]) -> list[dict[str, Any]]:
        return self._store.rows(
            "lineage_duplicates",
            tenant=tenant,
            feed=described.feed,
            at=at_ns,
            seqs=sorted(seqs),
            limit=MAX_REPLACED,
        )

    def _nothing(self, bound: Mapping[str, Any], described: Description, at_ns: int) -> NotFoundError:
        near = self._store.rows("lineage_near", **bound, at=at_ns)
        found = " and ".join(format_instant(row["at"]) for row in near)
        series, time = format_series(described.series), format_instant(at_ns)
        return NotFoundError(
            f"nothing stands at {time} in series '{series}'; "
            + (f"the nearest points are at {found}" if near else "it has no points")
            + f". /v1/why?series={series}&time={time} says why"
        )


def _loser(row: Mapping[str, Any], facts: Mapping[int, Mapping[str, Any]]) -> Loser:
    winner = facts.get(row["winner_seq"])
    return Loser(
        receipt=row["receipt"],
        index=row["idx"],
        received_at=format_instant(row["received_at"]),
        winner=winner["receipt"] if winner else None,
        winner_index=row["winner_idx"],
    )
