"""Collects what is said of records without fault: marks of their points, and texts that are kept as attributes.

Few records have any, so they are frames of their own beside the batch's.
"""

from collections.abc import Iterable
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
        self._marks: list[tuple[int, int, str]] = []
        self._texts: list[tuple[int, int, str, str]] = []

    def add_rows(self, columns: DecodedColumns, payloads: NDArray[np.int64], indexes: NDArray[np.int64]) -> None:
        """Add what is said of rows; the payload and index of each row."""
        for mark, rows in columns.marks.items():
            self._marks += [(int(payloads[row]), int(indexes[row]), mark) for row in rows]
        self._texts += [(int(payloads[row]), int(indexes[row]), key, value) for row, key, value in columns.texts]

    def add_record(self, record: Record, payload: int, index: int, marks: Iterable[str]) -> None:
        """Add what is said of one record."""
        self._marks += [(payload, index, mark) for mark in marks]
        self._texts += [(payload, index, key, value) for key, value in record.texts.items()]

    def marks(self, seqs: NDArray[np.uint64]) -> pl.DataFrame | None:
        """MARKS; `seqs` has the offset of each payload. None where no record is marked."""
        return marks_frame([(int(seqs[payload]), index, mark) for payload, index, mark in self._marks])

    def texts(self, seqs: NDArray[np.uint64]) -> pl.DataFrame | None:
        """TEXTS; None where there are none."""
        if not self._texts:
            return None
        rows = [(int(seqs[payload]), index, key, value) for payload, index, key, value in self._texts]
        return pl.DataFrame(rows, schema=TEXTS, orient="row")


def marks_frame(marks: list[tuple[int, int, str]]) -> pl.DataFrame | None:
    """MARKS of (seq, idx, mark); None where there are none."""
    return pl.DataFrame(marks, schema=MARKS, orient="row") if marks else None
