"""Where a point comes from: its payload and place in it, the record, the rules, what it replaced, what lost to it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidemill.errors import NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.model.ids import format_series
from tidemill.model.time import format_instant
from tidemill.query.flags import flag_words
from tidemill.query.origins import Origin, Origins, Rules, origin, rules
from tidemill.query.point_changes import Change, changes_of
from tidemill.query.rollup_windows import RollupWindow, windows_of
from tidemill.query.series import Description, SeriesQueries
from tidemill.query.together import together
from tidemill.store.client import Store

MAX_POINTS: Final = 1_000  # of one instant: where a feed keeps all that share a second
MAX_REPLACED: Final = 10_000


class PointOrigin(msgspec.Struct, frozen=True):
    """A point that stands and where it comes from: `index` is its record's place in the payload, `record` the record as
    it came (null when the payload is gone or larger than 16 MiB)."""

    value: float | None
    flags: list[str]
    marks: list[str]
    attributes: dict[str, str]
    index: int
    payload: Origin
    record: Any
    rules: Rules


class ReplacedValue(msgspec.Struct, frozen=True):
    """A value that stood once: when it was received, what replaced it and when that was received."""

    value: float | None
    index: int
    received_at: str
    payload: Origin
    replaced_by: Origin
    replaced_by_index: int
    replaced_at: str | None


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
    changes: list[Change]
    windows: list[RollupWindow]
    links: dict[str, str]


class LineageQueries:
    """Lineage of points. Raises NotFoundError for a series or an instant that is not there."""

    def __init__(self, store: Store, series: SeriesQueries, book: FeedBook) -> None:
        self._store, self._series = store, series
        self._origins = Origins(store, book)

    def point(self, tenant: str, series: str, at_ns: int) -> PointLineage:
        """Where what stands at an instant (ns) comes from. NotFoundError names the nearest neighbours."""
        described = self._series.describe(tenant, series)
        feed = self._origins.feed(tenant, described.feed, None)
        bound = {"tenant": tenant, "series": described.series, "deleted_seq": described.deleted_seq}
        points, old, windows, changes = together(
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
        facts, losers = together(
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


def replaced_value(row: Mapping[str, Any], facts: Mapping[int, Mapping[str, Any]]) -> ReplacedValue:
    """A row of `lineage_replaced` as it is answered; `facts` of its payloads by place."""
    successor = facts.get(row["by_seq"])
    return ReplacedValue(
        value=row["value"],
        index=row["idx"],
        received_at=format_instant(row["received_at"]),
        payload=origin(facts.get(row["seq"])),
        replaced_by=origin(successor),
        replaced_by_index=row["by_idx"],
        replaced_at=format_instant(successor["received_at"]) if successor else None,
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
