"""Collects the records that broke the contract, one at a time, into the batch's frame of rejections.

A payload may hold a million of them: only a few thousand are Python objects at a time.
"""

from array import array
from typing import Any, Final

import polars as pl

from tidemill.decode.fault_collector import FaultCollector

REJECTIONS: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "reasons": pl.List(pl.String),
    "detail": pl.String,
}
_FRAME_RECORDS: Final = 16_384  # records made a frame at once


class Rejected:
    """Collects rejected records, of payloads in any order. `seq` is the number that the caller gives a payload."""

    def __init__(self) -> None:
        self._frames = [pl.DataFrame(schema=REJECTIONS)]
        self._clear()

    def add(self, seq: int, index: int, faults: FaultCollector) -> None:
        """Add a record with all its faults."""
        self._seqs.append(seq)
        self._indexes.append(index)
        self._reasons.append(self._known.setdefault(faults.codes(), len(self._known)))
        self._details.append(faults.detail())
        if len(self._details) >= _FRAME_RECORDS:
            self._flush()

    def frame(self) -> pl.DataFrame:
        """REJECTIONS, in the order of `add`."""
        self._flush()
        return pl.concat(self._frames)

    def _clear(self) -> None:
        self._seqs, self._indexes, self._reasons = array("Q"), array("L"), array("L")
        self._details: list[str] = []
        self._known: dict[tuple[str, ...], int] = {}

    def _flush(self) -> None:
        if not self._details:
            return
        reasons = pl.Series(list(map(list, self._known)), dtype=REJECTIONS["reasons"])
        columns = {
            "seq": pl.Series(self._seqs, dtype=pl.UInt64),
            "idx": pl.Series(self._indexes, dtype=pl.UInt32),
            "reasons": reasons.gather(pl.Series(self._reasons, dtype=pl.UInt32)),
            "detail": pl.Series(self._details, dtype=pl.String),
        }
        self._frames.append(pl.DataFrame(columns))
        self._clear()
