"""Published values that changed, oldest first: pages for pollers, and what a stream of them reads.

A cursor is a place in each partition of the log (`Places`), sealed; a change's `id` is the cursor behind it. Changes of
one partition come in its order; those of several by when they were made. `applied` is how far the store has
everything of a tenant: what a batch under way has told already is not shown before all of it is.
"""

from collections import Counter
from collections.abc import Callable
from itertools import accumulate, chain
from typing import Annotated, Any, Final, Literal

import msgspec

from tidemill.errors import Fault, InputError
from tidemill.model.ids import format_series
from tidemill.model.offset import Reach, start_of
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.time import MAX_NS, MIN_NS, format_instant
from tidemill.query import readers
from tidemill.query.cursors import OF_PROCESS, Seals, first_of, sealed
from tidemill.query.parameters import TEXT, FeedName, Parameter, QueryParameters, Unit, limit_to, one_of
from tidemill.query.series import Hidden
from tidemill.store.client import Store

Place = tuple[int, int, int, int, int]  # seq, idx, series, every_s, time in ns
Places = tuple[Place, ...]  # of each partition of the log

Newest = tuple[tuple[int, int], ...]  # seq, idx in each partition

_PARTS: Final = 5  # of a place
ROUTE: Final = "changes"
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def _since(text: str, context: readers.Context) -> str | int:
    """A sealed cursor, unopened, or an instant in ns."""
    try:
        return int(readers.instant(text, context))
    except ValueError as error:
        try:
            return sealed(text, context)
        except ValueError:
            raise error from None


class ChangeStreamQuery(QueryParameters, frozen=True):
    """Which changes, and from where on."""

    since: Annotated[
        str | int | None,
        Parameter(
            "Changes made at or after this time (RFC 3339, a date, or a number with `unit`), or after this `id`.",
            _since,
            {"type": "string", "examples": ["2026-01-31T12:00:00Z"]},
        ),
    ] = None
    unit: Unit = None
    feed: FeedName = None
    series: Annotated[int | None, Parameter("Only of this series.", readers.series, TEXT)] = None
    kind: Annotated[
        Literal["point", "window"] | None,
        one_of("Only changes of points, or only of rollup windows.", "point", "window"),
    ] = None


class ChangesQuery(ChangeStreamQuery, frozen=True):
    """A page of changes."""

    limit: Annotated[int, limit_to(1000)] = 100
    cursor: Annotated[str | None, Parameter("Where the last page ended: its `next`.", sealed, TEXT)] = None


class ChangeEvent(msgspec.Struct, frozen=True):
    """A published value that became another. Of a point `time`; of a rollup window its begin `window`, its length
    `every` and means as values. `old` null: there was none; `new` null: there is none any more; counts are of points.

    `why`: `replaced` (a later value for the instant), `overtaken` (an earlier record arrived), `late` (a point received
    long after the window's end), `replay`, `deleted`. `receipt`, `index`: the record that brought the new value.
    """

    id: str
    series: str
    feed: str
    time: str | None
    window: str | None
    every: str | None
    old: float | None
    new: float | None
    old_count: int
    new_count: int
    why: Literal["replaced", "overtaken", "late", "replay", "deleted"]
    receipt: str | None
    index: int | None
    link: str | None
    replay: str | None
    changed_at: str


class ChangePage(msgspec.Struct, frozen=True):
    """Changes, oldest first. `next` is never null, also at the end: ask with it as `cursor` for more, now or later."""

    items: list[ChangeEvent]
    next: str


class Followed(msgspec.Struct, frozen=True):
    """What a follower reads at once; `reached`: where it goes on; `more`: there is more now."""

    items: list[ChangeEvent]
    reached: Places
    more: bool


class Changes:
    """Reads changes. Raises StoreUnavailableError, StoreQueryError."""

    def __init__(
        self, store: Store, hidden: Hidden, applied: Callable[[str], Reach], seals: Seals = OF_PROCESS
    ) -> None:
        self._store, self._hidden, self._applied, self._seals = store, hidden, applied, seals

    def page(self, tenant: str, query: ChangesQuery) -> ChangePage:
        """A page. Raises InputError for a cursor that is none of the tenant's."""
        start = self.start(tenant, cursor=query.cursor, since=query.since)
        found = self.after(tenant, query, start, query.limit)
        return ChangePage(found.items, self.cursor(tenant, found.reached))

    def start(self, tenant: str, *, cursor: str | None = None, since: str | int | None = None) -> Places:
        """Where a request begins to read: behind its `cursor`, or behind the change whose id is its `since`; else at
        the first change. Raises InputError for a cursor that is none of the tenant's."""
        for name, text in (("cursor", cursor), ("since", since)):
            if isinstance(text, str):
                try:
                    return self.places(tenant, text)
                except ValueError as error:
                    message = f"{name}: {error}"
                    raise InputError(message, (Fault(f"$query.{name}", "invalid", message),)) from None
        return tuple(start_of_changes(number) for number in range(len(self._applied(tenant))))

    def cursor(self, tenant: str, reached: Places) -> str:
        """Places as a cursor, another each time: whether the log has grown since the last does not show."""
        return self._seals.seal(ROUTE, tenant, *chain(*reached), fresh=True)

    def places(self, tenant: str, text: str) -> Places:
        """The places of a cursor or of a change's id. Raises ValueError for what the tenant was never given."""
        parts = self._seals.open(ROUTE, tenant, text, _PARTS * len(self._applied(tenant)))
        return tuple(_place_of(parts[at : at + _PARTS]) for at in range(0, len(parts), _PARTS))

    def after(self, tenant: str, query: ChangeStreamQuery, start: Places, count: int) -> Followed:
        """Up to `count` changes after a place in each partition, by its filters and the time `since`."""
        applied = self._applied(tenant)
        bounds = zip(start, applied, strict=True)
        rows = [self._rows(tenant, query, place, until, count + 1) for place, until in bounds]
        page = first_of(rows, count, lambda row: row["changed_ns"])
        trail = list(accumulate(page, _advanced, initial=start))  # the places before the first, and behind each
        taken = Counter(number for number, _ in page)
        more = [len(found) > taken[number] for number, found in enumerate(rows)]
        reached = tuple(
            place if more[number] else max(place, end_of(applied[number])) for number, place in enumerate(trail[-1])
        )
        return Followed(self._told(tenant, [row for _, row in page], trail[1:]), reached, any(more))

    def _rows(
        self, tenant: str, query: ChangeStreamQuery, after: Place, until: int, limit: int
    ) -> list[dict[str, Any]]:
        """The changes after a place in its partition."""
        since = query.since
        seq, idx, series, every_s, ns = after
        return self._store.rows(
            "changes_page",
            tenant=tenant,
            after_seq=seq,
            after_idx=idx,
            after_series=series,
            after_every_s=every_s,
            after_ns=ns,
            until=until,
            since=since if isinstance(since, int) else MIN_NS,
            feed=query.feed or "",
            series=[] if query.series is None else [query.series],
            kind=query.kind or "",
            hidden=sorted(self._hidden(tenant)),
            limit=limit,
        )

    def newest(self, tenant: str, after: Reach) -> Newest:
        """In each partition (seq, idx) of the newest change from `after` on; (0, 0): there is none."""
        found = []
        for after_seq, until in zip(after, self._applied(tenant), strict=True):
            row = self._store.rows("changes_newest", tenant=tenant, after_seq=after_seq, until=until)[0]
            found.append((int(row["newest_seq"]), int(row["newest_idx"])))
        return tuple(found)

    def now(self, tenant: str) -> Places:
        """The places behind every change that there is."""
        applied = self._applied(tenant)
        newest = zip(applied, self.newest(tenant, applied), strict=True)
        return tuple(max(end_of(until), (seq, idx, *_LAST)) for until, (seq, idx) in newest)

    def _told(self, tenant: str, page: list[dict[str, Any]], behind: list[Places]) -> list[ChangeEvent]:
        seqs = sorted({row["cause_seq"] for row in page if row["cause_seq"]})
        rows = self._store.rows("receipts_by_seq", tenant=tenant, seqs=seqs) if seqs else []
        receipts = {row["seq"]: row["receipt"] for row in rows}
        ids = [self._seals.seal(ROUTE, tenant, *chain(*places)) for places in behind]
        return [_change(row, own, receipts.get(row["cause_seq"])) for row, own in zip(page, ids, strict=True)]


_LAST: Final = (2**64 - 1, 2**32 - 1, MAX_NS)


def end_of(seq: int) -> Place:
    """The place behind all changes by the payload at `seq`, and before what a replay publishes there."""
    return (seq, MAX_RECORDS - 1, *_LAST)


def start_of_changes(partition: int) -> Place:
    """The place before the first change of a partition."""
    return (start_of(partition), 0, 0, 0, -(2**63))


def _advanced(places: Places, numbered: tuple[int, dict[str, Any]]) -> Places:
    """The places behind one more change, in its partition."""
    number, row = numbered
    place = (row["seq"], row["idx"], row["series"], row["every_s"], row["ns"])
    return (*places[:number], place, *places[number + 1 :])


def _place_of(parts: tuple[int, ...]) -> Place:
    seq, idx, series, every_s, ns = parts
    return seq, idx, series, every_s, ns


def _change(row: dict[str, Any], own_id: str, receipt: str | None) -> ChangeEvent:
    at, every_s = format_instant(row["ns"]), row["every_s"]
    return ChangeEvent(
        id=own_id,
        series=format_series(row["series"]),
        feed=row["feed"],
        time=None if every_s else at,
        window=at if every_s else None,
        every=_length(every_s) if every_s else None,
        old=row["old"],
        new=row["new"],
        old_count=row["old_count"],
        new_count=row["new_count"],
        why=row["why"],
        receipt=receipt,
        index=row["cause_idx"] if row["cause_seq"] else None,
        link=f"/v1/receipts/{receipt}" if receipt else None,
        replay=row["replay"] or None,
        changed_at=format_instant(row["changed_ns"]),
    )


def _length(seconds: int) -> str:
    """`1m`, `15m`, `1h`, `1d`: in the largest unit that divides it."""
    return next(f"{seconds // size}{unit}" for size, unit in _UNITS if seconds % size == 0)
