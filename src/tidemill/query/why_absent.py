"""The surroundings of an instant without a point: the nearest points, the rejected records nearby, and the state of the
source at that time. They distinguish a source without data, an unreachable source and rejected records."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from tidemill.feeds.definition import Feed
from tidemill.model.ids import format_series
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S, duration_ns, format_instant
from tidemill.query.why_evidence import Subject
from tidemill.query.why_neighbours import (
    AroundPoint,
    InstantNeighbours,
    InstantPoll,
    points_around,
    polls_around,
    read_neighbours,
)
from tidemill.store.client import Store, run_parallel

REACHED: Final = ("data", "empty", "unchanged", "truncated")  # results of polls that the source answered usefully
_DEFAULT_INTERVAL_NS: Final = 3600 * NS_PER_S
_LONGEST_INTERVAL_NS: Final = 86400 * NS_PER_S
_AROUND_NS: Final = (86400 * NS_PER_S, 30 * 86400 * NS_PER_S)  # ranges in which polls are searched: the near one first
_ITEMS: Final = 20


class Neighbour(msgspec.Struct, frozen=True):
    """The nearest point before or after."""

    time: str
    value: float | None
    link: str


class Nearby(msgspec.Struct, frozen=True):
    """Records rejected within `interval_s` of the instant, by reason: of this series, and `possible` ones of it."""

    interval_s: float
    by_reason: dict[str, int]
    possible: dict[str, int]
    link: str


class PollThen(msgspec.Struct, frozen=True):
    """One poll of the source."""

    started_at: str
    result: str
    status: int
    detail: str
    receipt: str | None


class SourceThen(msgspec.Struct, frozen=True):
    """The state of a source (of one `item`) at the instant, by its last poll before. `since`: when the source was last
    in the other state (reached or not); the state began after that. Null: not within 30 days, or not within a day where
    it was reached within a day."""

    item: str
    state: Literal["had_data", "had_nothing", "unchanged", "not_reached", "unusable", "not_polled"]
    since: str | None
    last_before: PollThen | None
    first_after: PollThen | None
    sentence: str


class Around(msgspec.Struct, frozen=True):
    """The surroundings of an instant: up to 50 `points` on either side, and the nearest of them. `source` is empty for
    feeds without a source."""

    points: list[AroundPoint]
    before: Neighbour | None
    after: Neighbour | None
    rejected_nearby: Nearby
    source: list[SourceThen]


class Surroundings(msgspec.Struct, frozen=True):
    """What is around an instant, its neighbours, and the polls of its source."""

    around: Around
    neighbours: InstantNeighbours
    polls: list[InstantPoll]


def read_surroundings(store: Store, tenant: str, subject: Subject, feed: Feed | None, at_ns: int) -> Surroundings:
    """The surroundings of an instant of a series."""
    declared, polled = _declared_interval(feed), feed is None or feed.source
    points, source, polls, rejected = run_parallel(
        lambda: points_around(store, tenant, subject, at_ns),
        lambda: _source(store, tenant, subject, at_ns) if polled else [],
        lambda: polls_around(store, tenant, subject, at_ns) if polled else [],
        lambda: _nearby(store, tenant, subject, at_ns, declared) if declared else None,
    )
    neighbours = read_neighbours(store, tenant, subject, at_ns, points)
    before, after = neighbours.nearest
    around = Around(
        points=neighbours.points,
        before=_neighbour(subject, before),
        after=_neighbour(subject, after),
        rejected_nearby=rejected or _nearby(store, tenant, subject, at_ns, _usual_interval(before, after)),
        source=source,
    )
    return Surroundings(around, neighbours, polls)


def _neighbour(subject: Subject, row: Mapping[str, Any] | None) -> Neighbour | None:
    if row is None:
        return None
    time = format_instant(row["at"])
    return Neighbour(time, row["value"], f"/v1/series/{format_series(subject.number)}/lineage?time={time}")


def _declared_interval(feed: Feed | None) -> int | None:
    """The time between points (ns) that the feed declares, or None."""
    return duration_ns(feed.rollups.interval) if feed and feed.rollups and feed.rollups.interval else None


def _usual_interval(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> int:
    """The time between points (ns) for a feed that declares none: the gap between the nearest points."""
    if before and after:
        return min(int(after["at"] - before["at"]), _LONGEST_INTERVAL_NS)
    return _DEFAULT_INTERVAL_NS


def _nearby(store: Store, tenant: str, subject: Subject, at_ns: int, interval: int) -> Nearby:
    rows = store.rows(
        "lineage_window_rejected",
        tenant=tenant,
        feed=subject.feed,
        series=subject.number,
        first=max(at_ns - interval, MIN_NS),
        last=min(at_ns + interval, MAX_NS),
    )
    series = f"&series={subject.id}" if subject.known else ""
    return Nearby(
        interval_s=interval / NS_PER_S,
        by_reason={row["reason"]: row["certain"] for row in rows if row["certain"]},
        possible={row["reason"]: row["possible"] for row in rows if row["possible"]},
        link=f"/v1/rejections?feed={subject.feed}{series}",
    )


def _source(store: Store, tenant: str, subject: Subject, at_ns: int) -> list[SourceThen]:
    """The states of the source's items at the instant; only of items that a tag of the series names, if any does."""
    rows: list[dict[str, Any]] = []
    for distance in _AROUND_NS:
        rows = store.rows(
            "why_polls",
            tenant=tenant,
            feed=subject.feed,
            at=at_ns,
            first=max(at_ns - distance, MIN_NS),
            last=min(at_ns + distance, MAX_NS),
            reached=list(REACHED),
            limit=_ITEMS,
        )
        if any(row["is_before"] and row["reached_at"] for row in rows):
            break
    items = list(dict.fromkeys(row["item"] for row in rows))
    named = [item for item in items if any(value in item for value in subject.tags.values() if value)]
    return [_then(item, [row for row in rows if row["item"] == item]) for item in named or items]


def _then(item: str, rows: list[dict[str, Any]]) -> SourceThen:
    last = next((row for row in rows if row["is_before"]), None)
    after = next((row for row in rows if not row["is_before"]), None)
    if last is None:
        first = f" It was first polled at {format_instant(rows[0]['started_at'])}." if rows else ""
        sentence = f"The source was not polled in the 30 days before.{first}"
        return SourceThen(item, "not_polled", None, None, _poll(after), sentence)
    state = _state(last)
    other = last["failed_at"] if last["result"] in REACHED else last["reached_at"]
    since = format_instant(other) if other else None
    return SourceThen(item, state, since, _poll(last), _poll(after), _sentence(state, last, since))


def _state(
    row: Mapping[str, Any],
) -> Literal["had_data", "had_nothing", "unchanged", "not_reached", "unusable", "not_polled"]:
    if row["result"] in ("data", "truncated"):
        return "had_data"
    if row["result"] == "empty":
        return "had_nothing"
    if row["result"] == "unchanged":
        return "unchanged"
    return "unusable" if row["status"] else "not_reached"


def _sentence(state: str, row: Mapping[str, Any], since: str | None) -> str:
    at = format_instant(row["started_at"])
    why = f" ({row['result']}: {row['detail']})" if row["detail"] else f" ({row['result']})"
    fine = f" It had last been fine at {since}." if since else " It had not been fine in the 30 days before."
    return {
        "had_data": f"The source was reached at {at} and gave data.",
        "had_nothing": f"The source was reached at {at} and had nothing.",
        "unchanged": f"The source was reached at {at} and had what was taken already.",
        "unusable": f"The source answered at {at}, and the answer could not be used{why}.{fine}",
        "not_reached": f"The source could not be reached at {at}{why}.{fine}",
    }[state]


def _poll(row: Mapping[str, Any] | None) -> PollThen | None:
    if row is None:
        return None
    return PollThen(
        started_at=format_instant(row["started_at"]),
        result=row["result"],
        status=row["status"],
        detail=row["detail"],
        receipt=row["receipt"] or None,
    )
