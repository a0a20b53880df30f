"""Published values that changed, oldest first: pages for pollers, and what a stream of them reads.

A cursor is a place (`Place`), sealed; a change's `id` is the cursor behind it. `applied` is how far the store has
everything of a tenant: what a batch under way has told already is not shown before all of it is.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from tidemill.errors import Fault, InputError
from tidemill.model.ids import format_series
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.time import MAX_NS, MIN_NS, format_instant
from tidemill.query import readers
from tidemill.query.parameters import FEED, UNIT, Asked, Parameter, limit
from tidemill.query.seals import OF_PROCESS, Seals, sealed
from tidemill.query.series import Hidden
from tidemill.store.client import Store

Place = tuple[int, int, int, int, int]  # seq, idx, series, every_s, time in ns

START: Final[Place] = (0, 0, 0, 0, -(2**63))
ROUTE: Final = "changes"
_INSTANT: Final = {"type": "string", "examples": ["2026-01-31T12:00:00Z"]}
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


FILTERS: Final = (
    FEED,
    Parameter("series", "Only of this series.", readers.series, {"type": "string"}),
    Parameter(
        "kind",
        "Only changes of points, or only of rollup windows.",
        readers.choice("point", "window"),
        {"type": "string", "enum": ["point", "window"]},
    ),
)
SINCE: Final = Parameter(
    "since",
    "Changes made at or after this time (RFC 3339, a date, or a number with `unit`), or after this `id`.",
    _since,
    _INSTANT,
)
CURSOR: Final = Parameter("cursor", "Where the last page ended: its `next`.", sealed, {"type": "string"})
PAGE_PARAMETERS: Final = (SINCE, UNIT, *FILTERS, limit(100, 1000), CURSOR)
STREAM_PARAMETERS: Final = (SINCE, UNIT, *FILTERS)


class Change(msgspec.Struct, frozen=True):
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

    items: list[Change]
    next: str


class Followed(msgspec.Struct, frozen=True):
    """What a follower reads at once; `reached`: where it goes on; `more`: there is more now."""

    items: list[Change]
    reached: Place
    more: bool


class Changes:
    """Reads changes. Raises StoreUnavailableError, StoreQueryError."""

    def __init__(self, store: Store, hidden: Hidden, applied: Callable[[str], int], seals: Seals = OF_PROCESS) -> None:
        self._store, self._hidden, self._applied, self._seals = store, hidden, applied, seals

    def page(self, tenant: str, asked: Asked) -> ChangePage:
        """A page by PAGE_PARAMETERS. Raises InputError for a cursor that is none of the tenant's."""
        found = self.after(tenant, asked, self.start(tenant, asked), asked["limit"])
        return ChangePage(found.items, self.cursor(tenant, found.reached))

    def start(self, tenant: str, asked: Asked) -> Place:
        """Where a request begins to read: behind its `cursor`, or behind the change whose id is its `since`; else at
        the first change. Raises InputError for a cursor that is none of the tenant's."""
        for name in ("cursor", "since"):
            text = asked.get(name)
            if isinstance(text, str):
                try:
                    return self.place(tenant, text)
                except ValueError as error:
                    message = f"{name}: {error}"
                    raise InputError(message, (Fault(f"$query.{name}", "invalid", message),)) from None
        return START

    def cursor(self, tenant: str, reached: Place) -> str:
        """A place as a cursor, another each time: whether the log has grown since the last does not show."""
        return self._seals.seal(ROUTE, tenant, *reached, fresh=True)

    def place(self, tenant: str, text: str) -> Place:
        """The place of a cursor or of a change's id. Raises ValueError for what the tenant was never given."""
        seq, idx, series, every_s, ns = self._seals.open(ROUTE, tenant, text, len(START))
        return seq, idx, series, every_s, ns

    def after(self, tenant: str, asked: Asked, start: Place, count: int) -> Followed:
        """Up to `count` changes after a place, by FILTERS and the time `since`."""
        until, since = self._applied(tenant), asked["since"]
        seq, idx, series, every_s, ns = start
        rows = self._store.rows(
            "changes_page",
            tenant=tenant,
            after_seq=seq,
            after_idx=idx,
            after_series=series,
            after_every_s=every_s,
            after_ns=ns,
            until=until,
            since=since if isinstance(since, int) else MIN_NS,
            feed=asked["feed"] or "",
            series=[] if asked["series"] is None else [asked["series"]],
            kind=asked["kind"] or "",
            hidden=sorted(self._hidden(tenant)),
            limit=count + 1,
        )
        page = rows[:count]
        reached = _place(page[-1]) if page else start
        more = len(rows) > len(page)
        return Followed(self._told(tenant, page), reached if more else max(reached, end_of(until)), more)

    def newest(self, tenant: str, after_seq: int) -> tuple[int, int]:
        """(seq, idx) of the newest change from `after_seq` on; (0, 0): there is none."""
        rows = self._store.rows("changes_newest", tenant=tenant, after_seq=after_seq, until=self._applied(tenant))
        return int(rows[0]["newest_seq"]), int(rows[0]["newest_idx"])

    def now(self, tenant: str) -> Place:
        """The place behind every change that there is."""
        until = self._applied(tenant)
        return max(end_of(until), (*self.newest(tenant, until), *_LAST))

    def _told(self, tenant: str, page: list[dict[str, Any]]) -> list[Change]:
        seqs = sorted({row["cause_seq"] for row in page if row["cause_seq"]})
        rows = self._store.rows("receipts_by_seq", tenant=tenant, seqs=seqs) if seqs else []
        receipts = {row["seq"]: row["receipt"] for row in rows}
        ids = [self._seals.seal(ROUTE, tenant, *_place(row)) for row in page]
        return [_change(row, own, receipts.get(row["cause_seq"])) for row, own in zip(page, ids, strict=True)]


_LAST: Final = (2**64 - 1, 2**32 - 1, MAX_NS)


def end_of(seq: int) -> Place:
    """The place behind all changes by the payload at `seq`, and before what a replay publishes there."""
    return (seq, MAX_RECORDS - 1, *_LAST)


def _place(row: dict[str, Any]) -> Place:
    return (row["seq"], row["idx"], row["series"], row["every_s"], row["ns"])


def _change(row: dict[str, Any], own_id: str, receipt: str | None) -> Change:
    at, every_s = format_instant(row["ns"]), row["every_s"]
    return Change(
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
