"""Reads payloads whose records stand in groups, under keys, or below something that is read for each of them.

Payloads are cut first (`cut.py`). What is above the records is read once for each group, as a record of its own, by the
same two readers; then the records are read in columns, and each gets what its groups and its key say.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.decode.blocks import read_blocks
from tidemill.decode.cut import Cut, cut_document
from tidemill.decode.derived import derived_columns
from tidemill.decode.fast import DecodedColumns, FastReader, receipt_times, times_good
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.nest import Nest
from tidemill.decode.outer import MAX_REPEATED, TOO_MUCH, OuterColumns, OuterReader, part_plan
from tidemill.decode.plan import DecodePlan
from tidemill.decode.reading import Reading
from tidemill.decode.strict import read_record
from tidemill.decode.strict_json import parse_json
from tidemill.decode.time_formats import with_offsets
from tidemill.feeds.levels import levels_above
from tidemill.feeds.paths import in_record
from tidemill.model.payload import MAX_RECORDS

_TOO_MANY: Final = f"these are more records than the {MAX_RECORDS} that a payload may hold; send several"


class CutPayload(msgspec.Struct, frozen=True):
    """A payload that was cut: its number among those that are read, its bytes, its records."""

    number: int
    body: bytes
    cut: Cut
    nest: Nest


class NestedReader:
    """Reads payloads of one feed. Thread-safe. `turn`: a heartbeat, called often."""

    def __init__(self, plan: DecodePlan, max_depth: int, turn: Callable[[], None]) -> None:
        self._plan, self._max_depth, self._turn = plan, max_depth, turn
        self._columns = [number for number, column in enumerate(plan.columns) if in_record(column.keys)]
        self.fast = FastReader(part_plan(plan, self._columns, plan.except_keys), max_depth)
        levels = levels_above(plan.records)
        self._parts = [OuterReader(plan, part, levels, max_depth) for part in plan.outer]
        self._noted = {part.step: part.names for part in self._parts if part.names}
        self._digits = any(column.kind in ("time_number", "time_any") for column in plan.columns)

    def read_group(self, reading: Reading, numbers: Sequence[int]) -> None:
        """Read these payloads of a reading."""
        payloads: list[CutPayload] = []
        for number in numbers:
            self._turn()
            if reading.stopped:
                return
            if (payload := self._cut(reading, number)) is not None:
                payloads.append(payload)
        self._read_payloads(reading, payloads)

    def _cut(self, reading: Reading, number: int) -> CutPayload | None:
        """A payload with its records; None if it is refused as a whole, or has none."""
        body, faults = reading.payload_body(number), FaultCollector()
        cut = cut_document(body, self._plan.records, self._max_depth, faults, self._noted)
        if cut is None or cut.nest is None:
            reading.counts[number] = 1
            reading.reject_record(number, 0, faults)
        elif len(cut) > MAX_RECORDS:
            reading.refuse_payload(number, "too_many_records", _TOO_MANY)
        elif len(cut) and sum(part.repeated_bytes(cut.nest, len(cut)) for part in self._parts) > MAX_REPEATED:
            reading.refuse_payload(number, "too_many_records", TOO_MUCH)
        else:
            for record, lost in reading.lost_lists.get(number, ()):
                for fault in lost.all():
                    cut.nest.add_fault_above(body, record, fault.path, fault.code, fault.message)
            reading.counts[number] = len(cut)
            return CutPayload(number, body, cut, cut.nest) if len(cut) else None
        return None

    def _read_payloads(self, reading: Reading, payloads: Sequence[CutPayload]) -> None:
        if not payloads or reading.stopped:
            return
        columns = self._read_together(payloads)
        if columns is not None:
            counts = [len(payload.cut) for payload in payloads]
            rows = np.concatenate([np.arange(count) for count in counts])
            reading.add_rows(columns, np.repeat([payload.number for payload in payloads], counts), rows)
        elif len(payloads) > 1:
            middle = len(payloads) // 2
            self._read_payloads(reading, payloads[:middle])
            self._read_payloads(reading, payloads[middle:])
        else:
            _PayloadBlocks(self, payloads[0], reading).read()

    def _read_together(self, payloads: Sequence[CutPayload]) -> DecodedColumns | None:
        """All records of these payloads as columns; None if any is not certain to be without fault."""
        if any(payload.nest.at_fault(0, len(payload.cut)) for payload in payloads):
            return None
        pieces = chain.from_iterable(payload.cut.pieces(payload.body, 0, len(payload.cut)) for payload in payloads)
        outer = []
        for part in self._parts:
            above = chain.from_iterable(part.pieces(payload.body, payload.nest) for payload in payloads)
            columns = part.fast.read_records(list(above))
            if columns is None:
                return None
            outer.append((columns, _rows([part.rows(payload.nest, 0, len(payload.cut)) for payload in payloads])))
        return self.joined(list(pieces), outer)

    def joined(
        self, pieces: list[bytes], outer: Sequence[tuple[DecodedColumns, NDArray[np.int64]]]
    ) -> DecodedColumns | None:
        """The columns of records with those of what is around them: of each part its columns, and the row of each
        record in these. None if any record is not certain to be without fault."""
        own = self.fast.read_records(pieces)
        if own is None:
            return None
        values: list[list[Any]] = [[] for _ in self._plan.columns]
        times, offsets = own.times if self._has_time(self._columns) else receipt_times(len(pieces)), own.offsets
        for number, column in zip(self._columns, own.values, strict=True):
            values[number] = column
        for part, (columns, rows) in zip(self._parts, outer, strict=True):
            places = rows.tolist()
            for number, column in zip(part.columns, columns.values, strict=True):
                values[number] = [column[row] for row in places] if column else []
            if self._has_time(part.columns):
                times = columns.times.take(rows)
            if columns.offsets is not None:
                given = columns.offsets
                offsets = [given[row] for row in places]
        times = times if offsets is None else with_offsets(times, offsets)
        derived = derived_columns(self._plan, values)
        if derived is None or not times_good(times, self._plan):
            return None
        return msgspec.structs.replace(own, times=times, values=values + derived, offsets=None)

    def _has_time(self, columns: Sequence[int]) -> bool:
        return any(self._plan.columns[number].name == "time" for number in columns)

    def read_strictly(
        self, reading: Reading, payload: CutPayload, index: int, outer: Sequence[OuterColumns | None]
    ) -> bool:
        """Read one record by the strict reader; returns whether it is without fault."""
        body, nest, faults = payload.body, payload.nest, FaultCollector()
        nest.add_faults(body, index, faults)
        if nest.is_broken(index) or (faults.count and self._plan.begin is not None):  # its time is not known
            reading.reject_record(payload.number, index, faults)
            return False
        around = [
            (part.part, part.read_strictly(body, nest, index, known, faults))
            for part, known in zip(self._parts, outer, strict=True)
        ]
        path, before = nest.record_path(body, index), faults.count
        piece = payload.cut.pieces(body, index, index + 1)[0]
        value: Any = parse_json(piece, path, self._max_depth, faults, digits=self._digits)
        record = None if faults.count > before else read_record(value, path, self._plan, faults, around)
        if record is None or faults.count:
            reading.reject_record(payload.number, index, faults, record)
            return False
        reading.add_record(record, payload.number, index, faults.marks)
        return True


class _PayloadBlocks:
    """Reads one payload in blocks, after what is above its records."""

    def __init__(self, reader: NestedReader, payload: CutPayload, reading: Reading) -> None:
        self._reader, self._payload, self._reading = reader, payload, reading
        self._outer = [part.read_all(payload.body, payload.nest, reader._turn) for part in reader._parts]

    def read(self) -> None:
        """Read all records."""
        read_blocks(len(self._payload.cut), self._read_certain, self._read_strictly, self._may_go_on)

    def _may_go_on(self) -> bool:
        self._reader._turn()
        return not self._reading.stopped

    def _read_certain(self, first: int, last: int) -> bool:
        columns = self._read_block(first, last)
        if columns is None:
            return False
        self._reading.add_rows(columns, np.full(last - first, self._payload.number), np.arange(first, last))
        return True

    def _read_block(self, first: int, last: int) -> DecodedColumns | None:
        body, nest = self._payload.body, self._payload.nest
        if nest.at_fault(first, last):
            return None
        outer = []
        for part, known in zip(self._reader._parts, self._outer, strict=True):
            if known is None:
                keys = part.fast.read_records(list(part.pieces(body, nest, first, last)))
                if keys is None:
                    return None
                outer.append((keys, np.arange(last - first)))
                continue
            rows = part.rows(nest, first, last)
            if known.bad[rows].any():
                return None
            outer.append((known.columns, rows))
        return self._reader.joined(self._payload.cut.pieces(body, first, last), outer)

    def _read_strictly(self, index: int) -> bool:
        return self._reader.read_strictly(self._reading, self._payload, index, self._outer)


def _rows(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The rows of several payloads in the columns of all; each payload's own begin at 0, and none is passed over."""
    ends: Iterator[int] = iter(np.cumsum([int(rows[-1]) + 1 for rows in parts]).tolist())
    begin, moved = 0, []
    for rows in parts:
        moved.append(rows + begin)
        begin = next(ends)
    return np.concatenate(moved)
