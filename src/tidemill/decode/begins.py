"""Reads payloads whose records are no list of their own times: documents of parallel arrays, and lists with a step."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.decode.blocks import read_blocks
from tidemill.decode.columns import ColumnsReader
from tidemill.decode.cut import cut_document, cut_lines
from tidemill.decode.cut_columns import ColumnCut, cut_columns
from tidemill.decode.fast import FastReader
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.plan import DecodePlan
from tidemill.decode.reading import Reading
from tidemill.decode.steps import ListTimes, read_list_times
from tidemill.decode.strict import Record, read_record
from tidemill.decode.strict_json import parse_json
from tidemill.model.payload import MAX_RECORDS


class ListBegins:
    """Reads what the first record of a list says for all of them: its time and the step. Thread-safe."""

    def __init__(self, plan: DecodePlan, max_depth: int) -> None:
        self._plan = plan
        self._max_depth = max_depth
        self._path = "$" + "".join(f".{key}" for key in plan.records)

    def read_list(self, reading: Reading, number: int, *, lines: bool) -> bool:
        """Whether the times of a payload's records can be known; else the payload is rejected. A payload without
        records, or of which none can be read, is left to the readers of records."""
        body, faults = reading.payload_body(number), FaultCollector()
        cut = cut_lines(body) if lines else cut_document(body, self._plan.records, self._max_depth, FaultCollector())
        if self._plan.begin is None or cut is None or not 0 < len(cut) <= MAX_RECORDS:
            return True
        root = "$" if lines else self._path
        path = f"{root}[0]" if cut.listed else self._path
        times = self._read(cut.pieces(body, 0, 1)[0], path, len(cut), faults)
        if times is None:
            reading.reject_payload(number, faults)
            return False
        reading.begins[number] = times
        return True

    def read_columns(
        self, reading: Reading, number: int, piece: bytes, items: NDArray[np.int64], faults: FaultCollector
    ) -> bool:
        """Whether the times of a document of arrays can be known, of which the feed reads `piece` once; else faults are
        added. Without a step the times are in an array."""
        if self._plan.begin is None:
            return True
        times = self._read(piece, self._path, int(items[-1]) + 1 if len(items) else 1, faults)
        if times is not None:
            reading.begins[number] = times
        return times is not None

    def _read(self, piece: bytes, path: str, count: int, faults: FaultCollector) -> ListTimes | None:
        assert self._plan.begin is not None
        value: Any = parse_json(piece, path, self._max_depth, faults, digits=True)
        return None if faults.count else read_list_times(value, path, self._plan.begin, count, faults)


class ColumnPayloads:
    """Reads documents of parallel arrays. Thread-safe."""

    def __init__(self, plan: DecodePlan, fast: FastReader, max_depth: int, turn: Callable[[], None]) -> None:
        self._plan = plan
        self._fast = fast
        self._columns = ColumnsReader(plan, fast, max_depth)
        self._begins = ListBegins(plan, max_depth)
        self._max_depth = max_depth
        self._turn = turn
        self._digits = any(column.kind in ("time_number", "time_any") for column in plan.columns)
        self._path = "$" + "".join(f".{key}" for key in plan.records)

    def read_payload(self, reading: Reading, number: int, body: bytes, *, lines: bool) -> None:
        """Read a payload (stripped of outer white space): whole arrays at a time where that is certain to be right,
        else record by record."""
        self._turn()
        if lines and len(cut_lines(body)) > 1:
            reading.refuse_payload(number, "unknown_format", "columns are one JSON document, not lines; send it alone")
            return
        if not body:
            reading.refuse_payload(number, "empty_body", "there is nothing here; send a JSON document")
            return
        faults, read = FaultCollector(), self._columns.read_document(body)
        if read is not None:
            if self._begins.read_columns(reading, number, read.begin, read.items, faults):
                reading.counts[number] = len(read.items)
                reading.add_rows(read.columns, np.full(len(read.items), number), read.items)
            else:
                reading.reject_payload(number, faults)
            return
        cut = cut_columns(reading.payload_body(number), self._plan, self._max_depth, faults)
        if cut is not None and self._begins.read_columns(reading, number, cut.begin, cut.items, faults):
            faults = self._faults_of_all(cut)
        if cut is None or faults.count:
            reading.reject_payload(number, faults)
        else:
            reading.counts[number] = len(cut)
            self._read_records(reading, number, cut)

    def _read_records(self, reading: Reading, number: int, cut: ColumnCut) -> None:
        """Read the records of a document by the readers of records."""

        def read_certain(first: int, last: int) -> bool:
            self._turn()
            columns = self._fast.read_records(cut.pieces(first, last))
            if columns is not None:
                reading.add_rows(columns, np.full(last - first, number), cut.items[first:last])
            return columns is not None

        def read_strictly(index: int) -> bool:
            faults, item = cut.record_faults(index), int(cut.items[index])
            record = self._read_strict(cut.pieces(index, index + 1)[0], faults)
            if record is None or faults.count:
                reading.reject_record(number, item, faults, record)
            else:
                reading.add_record(record, number, item)
            return not faults.count

        read_blocks(len(cut), read_certain, read_strictly, lambda: not reading.stopped)

    def _read_strict(self, piece: bytes, faults: FaultCollector) -> Record | None:
        value: Any = parse_json(piece, self._path, self._max_depth, faults, digits=self._digits)
        return None if faults.count else read_record(value, self._path, self._plan, faults)

    def _faults_of_all(self, cut: ColumnCut) -> FaultCollector:
        """The faults of the members that hold for each record."""
        faults = FaultCollector()
        for piece in cut.pieces(0, 1):
            self._read_strict(piece, faults)
        return cut.held_faults(faults)
