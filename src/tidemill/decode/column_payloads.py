"""Reads payloads of parallel arrays: whole arrays at a time where that is certain to be right, else by record."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tidemill.decode.around import AroundReader, Surroundings, own_plan, with_surroundings
from tidemill.decode.begins import ListBegins
from tidemill.decode.blocks import read_blocks
from tidemill.decode.columns import ColumnsReader, ReadColumns
from tidemill.decode.cut import cut_document, cut_lines
from tidemill.decode.cut_columns import ColumnCut, cut_columns
from tidemill.decode.fast import FastReader
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.nest import Nest
from tidemill.decode.outer import TOO_MUCH
from tidemill.decode.plan import DecodePlan
from tidemill.decode.reading import Reading
from tidemill.decode.strict import Record, read_record
from tidemill.decode.strict_json import parse_json
from tidemill.feeds.paths import path_text


class ColumnPayloads:
    """Reads documents of parallel arrays. Thread-safe."""

    def __init__(self, plan: DecodePlan, max_depth: int, turn: Callable[[], None]) -> None:
        self._plan, self._own = plan, own_plan(plan)
        self._fast = FastReader(self._own, max_depth)
        self._columns = ColumnsReader(self._own, self._fast, max_depth)
        self._begins = None if plan.begin is None else ListBegins(plan, plan.begin, max_depth, turn)
        self._around = AroundReader(plan, max_depth)
        self._noted = _joined(self._around.noted, {} if self._begins is None else self._begins.noted)
        self._max_depth = max_depth
        self._turn = turn
        self._digits = any(column.kind in ("time_number", "time_any") for column in plan.columns)
        self._path = path_text(plan.records)

    def read_payload(self, reading: Reading, number: int, body: bytes, *, lines: bool) -> None:
        """Read a payload (stripped of outer white space)."""
        self._turn()
        if lines and len(cut_lines(body)) > 1:
            reading.refuse_payload(number, "unknown_format", "columns are one JSON document, not lines; send it alone")
            return
        if not body:
            reading.refuse_payload(number, "empty_body", "there is nothing here; send a JSON document")
            return
        faults = FaultCollector()
        nest = self._nest(reading.payload_body(number), faults)
        around = self._around.read_around(reading.payload_body(number), nest, 0, faults)
        if faults.count or faults.marks or not self._read_fast(reading, number, body, nest, around):
            self._read_slowly(reading, number, nest, around, faults)

    def _nest(self, body: bytes, faults: FaultCollector) -> Nest | None:
        """What is around the object of arrays; None where nothing is read of it, or there is no such object. A member
        that is there twice is a fault."""
        if not self._noted:
            return None
        own = FaultCollector()
        cut = cut_document(body, self._plan.records, self._max_depth, own, self._noted)
        if cut is None and "duplicate_key" in own.codes():
            faults.extend(own)
        return None if cut is None or cut.listed else cut.nest

    def _read_fast(self, reading: Reading, number: int, body: bytes, nest: Nest | None, around: Surroundings) -> bool:
        read = None if self._noted and nest is None else self._columns.read_document(body)
        if read is None:
            return False
        if self._around.repeats_too_much(nest, len(read.items)):
            reading.refuse_payload(number, "too_many_records", TOO_MUCH)
            return True
        if (columns := with_surroundings(read.columns, self._plan, around)) is None:
            return False
        faults = FaultCollector()
        if self._has_times(reading, number, read, nest, faults):
            reading.counts[number] = len(read.items)
            reading.add_rows(columns, np.full(len(read.items), number), read.items)
        else:
            reading.reject_payload(number, faults)
        return True

    def _read_slowly(
        self, reading: Reading, number: int, nest: Nest | None, around: Surroundings, faults: FaultCollector
    ) -> None:
        cut = cut_columns(reading.payload_body(number), self._own, self._max_depth, faults)
        if cut is not None and self._around.repeats_too_much(nest, len(cut)):
            reading.refuse_payload(number, "too_many_records", TOO_MUCH)
            return
        if cut is not None and self._has_times(reading, number, cut, nest, faults):
            faults.extend(self._faults_of_all(cut, around))
        if cut is None or faults.count:
            reading.reject_payload(number, faults)
        else:
            reading.counts[number] = len(cut)
            self._read_records(reading, number, cut, around, faults.marks)

    def _has_times(
        self, reading: Reading, number: int, read: ReadColumns | ColumnCut, nest: Nest | None, faults: FaultCollector
    ) -> bool:
        """Whether the times of the records can be known: they are in an array, or counted from the begin."""
        if self._begins is None:
            return True
        items = read.items
        return self._begins.read_columns(reading, number, read.begin, items=items, nest=nest, faults=faults)

    def _read_records(
        self, reading: Reading, number: int, cut: ColumnCut, around: Surroundings, marks: dict[str, None]
    ) -> None:
        """Read the records of a document by the readers of records; `marks` are those of each."""

        def read_certain(first: int, last: int) -> bool:
            self._turn()
            own = self._fast.read_records(cut.pieces(first, last))
            columns = None if own is None or marks else with_surroundings(own, self._plan, around)
            if columns is not None:
                reading.add_rows(columns, np.full(last - first, number), cut.items[first:last])
            return columns is not None

        def read_strictly(index: int) -> bool:
            faults, item = cut.record_faults(index), int(cut.items[index])
            record = self._read_strict(cut.pieces(index, index + 1)[0], around, faults)
            if record is None or faults.count:
                reading.reject_record(number, item, faults, record)
            else:
                reading.add_record(record, number, item, marks | faults.marks)
            return not faults.count

        read_blocks(len(cut), read_certain, read_strictly, lambda: not reading.stopped)

    def _read_strict(self, piece: bytes, around: Surroundings, faults: FaultCollector) -> Record | None:
        value: Any = parse_json(piece, self._path, self._max_depth, faults, digits=self._digits)
        return None if faults.count else read_record(value, self._path, self._plan, faults, around)

    def _faults_of_all(self, cut: ColumnCut, around: Surroundings) -> FaultCollector:
        """The faults of the members that hold for each record."""
        faults = FaultCollector()
        for piece in cut.pieces(0, 1):
            self._read_strict(piece, around, faults)
        return cut.held_faults(faults)


def _joined(*noted: dict[int, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
    """The names of members to note, by step, of several readers."""
    steps = dict.fromkeys(step for names in noted for step in names)
    return {step: tuple(dict.fromkeys(name for names in noted for name in names.get(step, ()))) for step in steps}
