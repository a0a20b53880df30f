"""Collects what is said of records without fault: marks of their points, and texts that are kept as attributes.

Few records have any, so they are frames of their own beside the batch's. A payload may hold a million of them: no
Python object is kept for each mark.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.fast import DecodedColumns
from tidemill.decode.strict import Record

MARKS: Final[dict[str, Any]] = {"seq": pl.UInt64, "idx": pl.UInt32, "mark": pl.String}
TEXTS: Final[dict[str, Any]] = {"seq": pl.UInt64, "idx": pl.UInt32, "key": pl.String, "value": pl.String}


class Notes:
    """Collects marks and texts of records, by the number of the payload and the index in it."""

    def __init__(self) -> None:
        self._marks = _Places()
        self._mark_names: list[str] = []
        self._texts = _Places()
        self._keys: list[str] = []
        self._values: list[str] = []

    def add_rows(self, columns: DecodedColumns, payloads: NDArray[np.int64], indexes: NDArray[np.int64]) -> None:
        """Add what is said of rows; the payload and index of each row."""
        for mark, rows in columns.marks.items():
            self._marks.add(payloads[rows], indexes[rows])
            self._mark_names += [mark] * len(rows)
        if columns.texts is not None:
            rows = columns.texts.rows
            self._texts.add(payloads[rows], indexes[rows])
            self._keys += columns.texts.keys
            self._values += columns.texts.values

    def add_record(self, record: Record, payload: int, index: int, marks: Iterable[str]) -> None:
        """Add what is said of one record."""
        for mark in marks:
            self._marks.add([payload], [index])
            self._mark_names.append(mark)
        for key, value in record.texts.items():
            self._texts.add([payload], [index])
            self._keys.append(key)
            self._values.append(value)

    def marks(self, seqs: NDArray[np.uint64]) -> pl.DataFrame | None:
        """MARKS; `seqs` has the offset of each payload. None where no record is marked."""
        return self._marks.frame(seqs, pl.Series("mark", self._mark_names, dtype=pl.String))

    def texts(self, seqs: NDArray[np.uint64]) -> pl.DataFrame | None:
        """TEXTS; None where there are none."""
        keys, values = (pl.Series(part, dtype=pl.String) for part in (self._keys, self._values))
        return self._texts.frame(seqs, keys.alias("key"), values.alias("value"))


class _Places:
    """The payload and the index in it of many records."""

    def __init__(self) -> None:
        self._payloads, self._indexes = array("q"), array("q")

    def add(self, payloads: Sequence[int] | NDArray[np.int64], indexes: Sequence[int] | NDArray[np.int64]) -> None:
        self._payloads.extend(payloads)
        self._indexes.extend(indexes)

    def frame(self, seqs: NDArray[np.uint64], *columns: pl.Series) -> pl.DataFrame | None:
        """`seq`, `idx` and the columns; None where there is nothing."""
        if not self._payloads:
            return None
        seq = pl.Series("seq", seqs[np.array(self._payloads, np.int64)])
        return pl.DataFrame([seq, pl.Series("idx", np.array(self._indexes, np.uint32)), *columns])


def marks_frame(seqs: NDArray[np.uint64], indexes: NDArray[Any], mark: str) -> pl.DataFrame | None:
    """MARKS of records that have one mark, by the offset of their payload and their index; None where there are
    none."""
    if not len(seqs):
        return None
    frame = pl.DataFrame([pl.Series("seq", seqs), pl.Series("idx", indexes.astype(np.uint32))])
    return frame.with_columns(mark=pl.lit(mark))
