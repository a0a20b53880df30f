"""Collects the result of reading some payloads: rows without fault as columns, and the records at fault.

Little is kept of each record: a payload may hold a million of them.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.fast import DecodedColumns
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.notes import Notes
from tidemill.decode.plan import DecodePlan
from tidemill.decode.rejected import Rejected
from tidemill.decode.scan import BOM
from tidemill.decode.stamps import Stamps
from tidemill.decode.steps import ListBegin, begin_columns
from tidemill.decode.strict import Record
from tidemill.decode.times import LocalTimes
from tidemill.model.payload import LogEntry

Chunk = tuple[DecodedColumns, NDArray[np.int64], NDArray[np.int64]]


class Reading:
    """The result of reading payloads. `counts`: the records of each payload; `faulty`: how many were at fault;
    `rejected` (with the payload's number as `seq`) and `stamps`: of records at fault; `notes`: marks and texts of
    others; `begins`: of the lists whose first record has the time of all, and `lost_lists` by payload, of several
    lists, the first record of those whose begin has faults. With a `limit` the faults are only collected
    in `faults`, and reading ends (`stopped`) after so many records at fault."""

    def __init__(self, plan: DecodePlan, payloads: Sequence[tuple[bytes, str]], limit: int | None) -> None:
        self.counts = [0] * len(payloads)
        self.faults = FaultCollector()
        self.rejected = Rejected()
        self.stamps = Stamps(plan)
        self.notes = Notes()
        self.begins: list[ListBegin] = []
        self.lost_lists: dict[int, list[tuple[int, FaultCollector]]] = {}
        self.watch: range = range(0)
        self.watched: dict[int, FaultCollector] = {}
        self._zones = plan.begin is not None and plan.begin.plan.column_number("zone") is not None
        self._stepped = plan.begin is not None
        self._chunks: list[Chunk] = []
        self._strict = _Rows(plan)
        self._payloads = payloads
        self._limit = limit
        self.faulty = 0

    @property
    def stopped(self) -> bool:
        """Whether `limit` records at fault were read, so that reading ends."""
        return self._limit is not None and self.faulty >= self._limit

    def payload_body(self, number: int) -> bytes:
        """A payload as sent, without a byte order mark: offsets of faults count from its first byte."""
        return self._payloads[number][0].removeprefix(BOM)

    def add_rows(self, columns: DecodedColumns, payloads: NDArray[np.int64], indexes: NDArray[np.int64]) -> None:
        """Add rows without fault: the columns, and the payload and index of each row."""
        self.notes.add_rows(columns, payloads, indexes)
        if columns.count:
            self._chunks.append((columns, payloads, indexes))

    def add_record(self, record: Record, payload: int, index: int, marks: Iterable[str] = ()) -> None:
        """Add one record without fault, with its marks."""
        self._strict.add(record, payload, index)
        self.notes.add_record(record, payload, index, marks)

    def reject_record(self, payload: int, index: int, faults: FaultCollector, record: Record | None = None) -> None:
        """Add a record at fault. `record` has the values that could be read, its time among them; None: nothing."""
        self.faulty += 1
        if index in self.watch:
            self.watched[index] = faults
        if self._limit is not None:
            self.faults.extend(faults)
            return
        self.rejected.add(payload, index, faults)
        if record is not None and record.timed:
            self.stamps.add(payload, index, record)

    def refuse_payload(self, payload: int, code: str, message: str) -> None:
        """Add a payload that is at fault as a whole: it counts as one record."""
        faults = FaultCollector()
        faults.add("$", code, message)
        self.reject_payload(payload, faults)

    def reject_payload(self, payload: int, faults: FaultCollector) -> None:
        """Add a payload that is at fault as a whole, with all its faults: it counts as one record."""
        self.counts[payload] = 1
        self.reject_record(payload, 0, faults)

    def begin_columns(self, rows: NDArray[np.int64], indexes: NDArray[Any]) -> dict[str, Any]:
        """The columns of the times of records in payloads `rows`, where the first record of a list has the time."""
        return begin_columns(self.begins, rows, indexes.astype(np.int64), zones=self._zones)

    def stamps_frame(self, payloads: Sequence[LogEntry]) -> pl.DataFrame:
        """The frame of stamps; `payloads` are those that were read."""
        frame = self.stamps.frame(payloads)
        if not self._stepped:
            return frame
        columns = self.begin_columns(self.stamps.payloads(), self.stamps.indexes())
        return frame.with_columns(**{name: pl.Series(name, values) for name, values in columns.items()})

    def chunks(self) -> list[Chunk]:
        """All rows without fault, in no promised order."""
        return [*self._chunks, *self._strict.chunk()]


class _Rows:
    """Collects the records of the strict reader into columns."""

    def __init__(self, plan: DecodePlan) -> None:
        self._values: list[list[Any]] = [[] for _ in range(len(plan.columns) + len(plan.derived))]
        self._registers: list[dict[str, float | None]] | None = None if plan.except_keys is None else []
        self._wall_ns, self._local = array("q"), bytearray()
        self._payloads, self._indexes = array("q"), array("q")

    def add(self, record: Record, payload: int, index: int) -> None:
        for values, value in zip(self._values, record.values, strict=True):
            values.append(value)
        if self._registers is not None:
            self._registers.append(record.registers or {})
        self._wall_ns.append(record.wall_ns)
        self._local.append(record.local)
        self._payloads.append(payload)
        self._indexes.append(index)

    def chunk(self) -> list[Chunk]:
        count = len(self._wall_ns)
        if not count:
            return []
        local = np.array(self._local, np.uint8)
        times = LocalTimes(np.array(self._wall_ns, np.int64), local, np.ones(count, np.bool_))
        columns = DecodedColumns(count, times, self._values, self._registers)
        return [(columns, np.array(self._payloads, np.int64), np.array(self._indexes, np.int64))]
