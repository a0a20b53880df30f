"""The neighbours of an instant: the points around it, the next point or rejected record on either side, and the polls
of its source."""

from typing import Any, Final, Literal

import msgspec

from tidemill.model.ids import format_series
from tidemill.model.time import MAX_NS, MIN_NS, format_instant
from tidemill.query.why_evidence import Subject
from tidemill.store.client import Store, run_parallel

MAX_POINTS: Final = 50  # on either side
MAX_POLLS: Final = 20  # on either side


class AroundPoint(msgspec.Struct, frozen=True):
    """A current point near the instant, and what it is flagged for."""

    time: str
    value: float | None
    marks: list[str]


class NextStep(msgspec.Struct, frozen=True):
    """The next instant on one side with something to tell: a `point`, or a `rejection` of a record of this series.
    `value`, `reasons` and `receipt` (with `index`) as far as it has them."""

    kind: Literal["point", "rejection"]
    time: str
    value: float | None
    reasons: list[str]
    receipt: str | None
    index: int | None
    link: str


class InstantPoll(msgspec.Struct, frozen=True):
    """A poll of the feed's source near the instant. `status` is null without an answer over HTTP, `receipt` where
    nothing was taken."""

    item: str
    started_at: str
    result: str
    status: int | None
    detail: str
    receipt: str | None


class InstantNeighbours(msgspec.Struct, frozen=True):
    """`points` in order of time, without those at the instant itself; `nearest`: the rows (`at` in ns, `value`) of the
    nearest before and after; `previous` and `next`: null where there is none."""

    nearest: tuple[dict[str, Any] | None, dict[str, Any] | None]
    points: list[AroundPoint]
    previous: NextStep | None
    next: NextStep | None


def points_around(store: Store, tenant: str, subject: Subject, at_ns: int) -> list[dict[str, Any]]:
    """The points around an instant (`at` in ns, `value`, `marks`), in order of time; none of a series that is not known
    or is being deleted."""
    if not subject.known or subject.deleting:
        return []
    bound = {"tenant": tenant, "series": subject.number, "deleted_seq": subject.deleted_seq}
    return store.rows("why_points", **bound, at=at_ns, limit=MAX_POINTS)


def read_neighbours(
    store: Store, tenant: str, subject: Subject, at_ns: int, points: list[dict[str, Any]]
) -> InstantNeighbours:
    """The neighbours of an instant, given its `points_around`."""
    if not subject.number or subject.deleting:
        return InstantNeighbours((None, None), [], None, None)
    earlier, later = [row for row in points if row["at"] < at_ns], [row for row in points if row["at"] > at_ns]
    before = next((row for row in earlier if row["at"] == earlier[-1]["at"]), None)
    after = later[0] if later else None
    rejected_before, rejected_after = run_parallel(
        lambda: _rejected(store, tenant, subject, MIN_NS if before is None else before["at"] + 1, at_ns - 1, sign=-1),
        lambda: _rejected(store, tenant, subject, at_ns + 1, MAX_NS if after is None else after["at"] - 1, sign=1),
    )
    return InstantNeighbours(
        nearest=(before, after),
        points=[AroundPoint(format_instant(row["at"]), row["value"], row["marks"]) for row in points],
        previous=_step(subject, before, rejected_before),
        next=_step(subject, after, rejected_after),
    )


def polls_around(store: Store, tenant: str, subject: Subject, at_ns: int) -> list[InstantPoll]:
    """The last polls before an instant and the first after it, in order of time; only of items that a tag of the series
    names, if any does."""
    rows = store.rows("why_polls_around", tenant=tenant, feed=subject.feed, at=at_ns, limit=MAX_POLLS)
    named = [row for row in rows if any(value and value in row["item"] for value in subject.tags.values())]
    return [
        InstantPoll(
            item=row["item"],
            started_at=format_instant(row["at"]),
            result=row["result"],
            status=row["status"] or None,
            detail=row["detail"],
            receipt=row["receipt"] or None,
        )
        for row in named or rows
    ]


def _rejected(
    store: Store, tenant: str, subject: Subject, first: int, last: int, *, sign: int
) -> dict[str, Any] | None:
    """The rejected record of the series nearest to the instant within [first, last] (ns), or None."""
    if first > last:
        return None
    bound = {"tenant": tenant, "feed": subject.feed, "series": subject.number}
    rows = store.rows("why_next_rejection", **bound, first=first, last=last, sign=sign)
    return rows[0] if rows else None


def _step(subject: Subject, point: dict[str, Any] | None, rejected: dict[str, Any] | None) -> NextStep | None:
    """The nearer of a point and a rejected record; a rejected record was only searched nearer than the point."""
    row = rejected or point
    if row is None:
        return None
    time = format_instant(row["at"])
    return NextStep(
        kind="point" if rejected is None else "rejection",
        time=time,
        value=row["value"] if rejected is None else None,
        reasons=[] if rejected is None else rejected["reasons"],
        receipt=None if rejected is None else rejected["receipt"],
        index=None if rejected is None else rejected["idx"],
        link=f"/v1/why?series={format_series(subject.number)}&time={time}",
    )
