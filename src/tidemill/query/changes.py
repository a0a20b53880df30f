"""Change events (published values that changed), oldest first: pages for pollers and batches for followers.

A cursor is the sealed key of one change in each partition of the log (`ChangeKeys`); the `id` of a change is the cursor
after that change. Changes of one partition are in the order of their keys; several partitions are merged by the time of
the change. Changes above the applied offset are not read: a batch under way may have written only some of its changes.
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
from tidemill.query.cursors import PROCESS_SEALS, Seals, merge_partitions, read_sealed_cursor
from tidemill.query.parameters import TEXT, FeedName, Parameter, QueryParameters, Unit, limit_to, one_of
from tidemill.query.receipts import receipts_by_seq
from tidemill.query.series import Hidden
from tidemill.store.client import Store

ChangeKey = tuple[int, int, int, int, int]  # seq, idx, series, every_s, time in ns: the order within a partition
ChangeKeys = tuple[ChangeKey, ...]  # one for each partition of the log

NewestChanges = tuple[tuple[int, int], ...]  # seq, idx in each partition

_KEY_PARTS: Final = 5
ROUTE: Final = "changes"
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def _since(text: str, context: readers.Context) -> str | int:
    """Returns an instant in ns, or a sealed cursor, unopened. Raises ValueError for any other text."""
    try:
        return int(readers.instant(text, context))
    except ValueError as error:
        try:
            return read_sealed_cursor(text, context)
        except ValueError:
            raise error from None


class ChangeStreamQuery(QueryParameters, frozen=True):
    """Filters of changes, and where to begin."""

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
    cursor: Annotated[str | None, Parameter("Where the last page ended: its `next`.", read_sealed_cursor, TEXT)] = None


class ChangeEvent(msgspec.Struct, frozen=True):
    """A change of a published value. A point has its `time`; a rollup window has its begin `window`, its length
    `every`, and means as values. `old` null: there was no value; `new` null: there is none now; counts are of points.

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
    """Changes, oldest first. `next` is never null, also at the end: send it as `cursor` for more, now or later."""

    items: list[ChangeEvent]
    next: str


class Followed(msgspec.Struct, frozen=True):
    """A batch of changes for a follower. `reached`: the keys to continue after; `more`: more changes exist already."""

    items: list[ChangeEvent]
    reached: ChangeKeys
    more: bool


class Changes:
    """Reads changes. Raises StoreUnavailableError, StoreQueryError."""

    def __init__(
        self, store: Store, hidden: Hidden, applied: Callable[[str], Reach], seals: Seals = PROCESS_SEALS
    ) -> None:
        self._store, self._hidden, self._applied, self._seals = store, hidden, applied, seals

    def list_changes(self, tenant: str, query: ChangesQuery) -> ChangePage:
        """A page. Raises InputError for a cursor that was not given to the tenant."""
        start = self.start_keys(tenant, cursor=query.cursor, since=query.since)
        batch = self.read_after(tenant, query, start, query.limit)
        return ChangePage(batch.items, self.seal_cursor(tenant, batch.reached))

    def start_keys(self, tenant: str, *, cursor: str | None = None, since: str | int | None = None) -> ChangeKeys:
        """The keys after which a request begins: those of its `cursor`, or of the change whose id is its `since`; else
        the keys before the first change. Raises InputError for a cursor that was not given to the tenant."""
        for name, text in (("cursor", cursor), ("since", since)):
            if isinstance(text, str):
                try:
                    return self.open_cursor(tenant, text)
                except ValueError as error:
                    message = f"{name}: {error}"
                    raise InputError(message, (Fault(f"$query.{name}", "invalid", message),)) from None
        return tuple(key_before_changes(number) for number in range(len(self._applied(tenant))))

    def seal_cursor(self, tenant: str, reached: ChangeKeys) -> str:
        """The keys as a sealed cursor. Each call gives another text, so that two cursors do not show whether the log
        has grown in between."""
        return self._seals.seal(ROUTE, tenant, *chain(*reached), fresh=True)

    def open_cursor(self, tenant: str, text: str) -> ChangeKeys:
        """The keys of a cursor or of a change's id. Raises ValueError for a text that the tenant was never given."""
        parts = self._seals.open(ROUTE, tenant, text, _KEY_PARTS * len(self._applied(tenant)))
        return tuple(_change_key(parts[at : at + _KEY_PARTS]) for at in range(0, len(parts), _KEY_PARTS))

    def read_after(self, tenant: str, query: ChangeStreamQuery, start: ChangeKeys, count: int) -> Followed:
        """Up to `count` changes after the key of each partition, by the query's filters and its time `since`."""
        applied = self._applied(tenant)
        bounds = zip(start, applied, strict=True)
        rows = [self._rows(tenant, query, key, until, count + 1) for key, until in bounds]
        page = merge_partitions(rows, count, lambda row: row["changed_ns"])
        trail = list(accumulate(page, _advance, initial=start))  # the keys before the first change, and after each
        taken = Counter(number for number, _ in page)
        more = [len(read) > taken[number] for number, read in enumerate(rows)]
        reached = tuple(
            key if more[number] else max(key, key_after_payload(applied[number]))
            for number, key in enumerate(trail[-1])
        )
        return Followed(self._change_events(tenant, [row for _, row in page], trail[1:]), reached, any(more))

    def _rows(
        self, tenant: str, query: ChangeStreamQuery, after: ChangeKey, until: int, limit: int
    ) -> list[dict[str, Any]]:
        """The changes of one partition after a key and up to the offset `until`, at most `limit`."""
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

    def newest_changes(self, tenant: str, after: Reach) -> NewestChanges:
        """(seq, idx) of the newest change of each partition from the offsets `after` on; (0, 0) where there is none."""
        newest = []
        for after_seq, until in zip(after, self._applied(tenant), strict=True):
            row = self._store.rows("changes_newest", tenant=tenant, after_seq=after_seq, until=until)[0]
            newest.append((int(row["newest_seq"]), int(row["newest_idx"])))
        return tuple(newest)

    def newest_keys(self, tenant: str) -> ChangeKeys:
        """The keys after every change that exists."""
        applied = self._applied(tenant)
        newest = zip(applied, self.newest_changes(tenant, applied), strict=True)
        return tuple(max(key_after_payload(until), (seq, idx, *LAST)) for until, (seq, idx) in newest)

    def events(self, tenant: str, page: list[tuple[int, dict[str, Any]]], until: ChangeKeys) -> list[ChangeEvent]:
        """The events of rows with the numbers of their partitions. The id of each is the cursor after that change in
        its partition, and after `until` in the others."""
        behind = [_advance(until, numbered) for numbered in page]
        return self._change_events(tenant, [row for _, row in page], behind)

    def _change_events(self, tenant: str, page: list[dict[str, Any]], behind: list[ChangeKeys]) -> list[ChangeEvent]:
        receipts = receipts_by_seq(self._store, tenant, (row["cause_seq"] for row in page if row["cause_seq"]))
        ids = [self._seals.seal(ROUTE, tenant, *chain(*keys)) for keys in behind]
        return [_change_event(row, own, receipts.get(row["cause_seq"])) for row, own in zip(page, ids, strict=True)]


LAST: Final = (2**64 - 1, 2**32 - 1, MAX_NS)


def key_after_payload(seq: int) -> ChangeKey:
    """The key after all changes by the payload at `seq`, and before the changes that a replay publishes at `seq`."""
    return (seq, MAX_RECORDS - 1, *LAST)


def key_before_changes(partition: int) -> ChangeKey:
    """The key before the first change of a partition."""
    return (start_of(partition), 0, 0, 0, -(2**63))


def _advance(keys: ChangeKeys, numbered: tuple[int, dict[str, Any]]) -> ChangeKeys:
    """The keys after one more change: a row and the number of its partition."""
    number, row = numbered
    key = (row["seq"], row["idx"], row["series"], row["every_s"], row["ns"])
    return (*keys[:number], key, *keys[number + 1 :])


def _change_key(parts: tuple[int, ...]) -> ChangeKey:
    seq, idx, series, every_s, ns = parts
    return seq, idx, series, every_s, ns


def _change_event(row: dict[str, Any], own_id: str, receipt: str | None) -> ChangeEvent:
    at, every_s = format_instant(row["ns"]), row["every_s"]
    return ChangeEvent(
        id=own_id,
        series=format_series(row["series"]),
        feed=row["feed"],
        time=None if every_s else at,
        window=at if every_s else None,
        every=_window_length(every_s) if every_s else None,
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


def _window_length(seconds: int) -> str:
    """A length as text (`1m`, `15m`, `1h`, `1d`) in the largest unit that divides it."""
    return next(f"{seconds // size}{unit}" for size, unit in _UNITS if seconds % size == 0)
