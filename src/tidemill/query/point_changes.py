"""Published changes of points and windows of a series: rows of table `changes` for some instants."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from tidemill.model.ids import format_series
from tidemill.model.time import format_instant
from tidemill.store.client import Store

MAX_CHANGES: Final = 1_000


class PublishedChange(msgspec.Struct, frozen=True):
    """A change of a published value. `every_s` is null for a point, else the width of the rollup window, and the values
    are its means; a null `old` or `new` is no value. `replay`: the replay that caused the change."""

    series: str
    changed_at: str
    time: str
    every_s: int | None
    old: float | None
    new: float | None
    old_count: int
    new_count: int
    why: str
    replay: str | None


def published_changes(
    store: Store,
    tenant: str,
    series: Collection[int],
    *,
    deleted_seq: int,
    first_ns: int,
    last_ns: int,
    widths: Collection[int] = (0,),
    only: bool = False,
) -> list[PublishedChange]:
    """The changes of points (width 0) of these series in [first, last], and of their windows of these widths that begin
    in that range, in the order in which they changed, after offset `deleted_seq`, at most MAX_CHANGES. With `only`:
    just the changes of the points at `last` and of the windows that begin at `first`."""
    rows = store.rows(
        "lineage_changes",
        tenant=tenant,
        series=list(series),
        widths=list(widths),
        only=only,
        deleted_seq=deleted_seq,
        first=first_ns,
        last=last_ns,
        limit=MAX_CHANGES,
    )
    return [_published_change(row) for row in rows]


def _published_change(row: dict[str, Any]) -> PublishedChange:
    return PublishedChange(
        series=format_series(row["series"]),
        changed_at=format_instant(row["changed_at"]),
        time=format_instant(row["at"]),
        every_s=row["every_s"] or None,
        old=row["old"],
        new=row["new"],
        old_count=row["old_count"],
        new_count=row["new_count"],
        why=row["why"],
        replay=row["replay"] or None,
    )
