"""The rows that describe series, kept for as long as nothing is written of a series. A row that is not there comes with
those after it in the order of the table's key: they are in the same granule, which is read in any case.
"""

from typing import Any, Final

import msgspec

from tidemill.query.kept import Kept
from tidemill.store.client import Store
from tidemill.store.generations import SERIES

Row = dict[str, Any]
_MOST_BYTES: Final = 8 << 20
_ROW_BYTES: Final = 1_000
_MOST_ROW_BYTES: Final = 64 << 10
_AHEAD: Final = 256  # rows that are read at once: 1.5 ms more than one row


class Description(msgspec.Struct, frozen=True):
    """The definition of a series. Points up to offset `deleted_seq` are deleted."""

    series: int
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str
    description: str
    deleted_seq: int


class SeriesRows:
    """Reads rows of the table of series: feed, name, field, tags, unit, description, and deleted_seq. Thread-safe.
    Whoever gets a row must not change it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: Kept[Row] = Kept(store.generations, _MOST_BYTES, _MOST_ROW_BYTES)

    def row(self, tenant: str, series: int) -> Row | None:
        """The row of a series; null where there is none, or the series is deleted."""
        kept = self._kept.get((tenant, series))
        return kept if kept is not None else self._read(tenant, series)

    def _read(self, tenant: str, series: int) -> Row | None:
        generations = self._store.generations
        before = generations.of_all(SERIES)
        if before is None:
            rows = self._store.rows("series_row", tenant=tenant, series=series)
            return rows[0] if rows else None
        rows = self._store.rows("series_rows_from", tenant=tenant, series=series, limit=_AHEAD)
        taken = [generations.of_series(SERIES, [row["series"]]) for row in rows]
        if generations.hold(before):  # so each of them is as it was before the rows were read
            for row, generation in zip(rows, taken, strict=True):
                size = _ROW_BYTES + 4 * (len(row["description"]) + len(row["name"]) + len(str(row["tags"])))
                self._kept.put((tenant, row["series"]), generation, row, size)
        return rows[0] if rows and rows[0]["series"] == series else None
