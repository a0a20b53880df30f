"""Reads payloads into columns of records without fault, and records with their faults, by the fast and strict readers.

The fast reader reads many payloads in one call. If it is not certain of all of them, they are halved until those that
need the strict reader are single. A payload of many records is cut once and read in blocks, so that a record at fault
costs some twenty microseconds and its neighbours almost nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tidemill.decode.around import own_plan
from tidemill.decode.begins import ListBegins
from tidemill.decode.blocks import BLOCK, read_blocks
from tidemill.decode.column_payloads import ColumnPayloads
from tidemill.decode.compile import compile_quick_check
from tidemill.decode.cut import WHITE, Cut, cut_document, cut_lines
from tidemill.decode.documents import strip_body
from tidemill.decode.fast import DecodedColumns, FastReader
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.given import given_fault
from tidemill.decode.nested import NestedReader
from tidemill.decode.plan import DecodePlan
from tidemill.decode.plugin import as_json
from tidemill.decode.reading import Reading
from tidemill.decode.strict import read_record
from tidemill.decode.strict_json import parse_json
from tidemill.decode.table_json import TableForm
from tidemill.feeds.formats import JSON_FORMATS
from tidemill.feeds.paths import path_text
from tidemill.model.payload import MAX_RECORDS, format_name, split_format

_GROUP: Final = 1024  # payloads read in one call: past some hundred the gain is small, the cost of halving is not
_DECODED: Final = ""  # the format of a plug-in's output: a JSON array of records
_NO_LINES: Final = "the records of this feed are inside a document ([input] records); send JSON, not NDJSON"
_TOO_MANY: Final = f"these are more records than the {MAX_RECORDS} that a payload may hold; send several"


class PayloadReader:
    """Reads payloads of one feed. Thread-safe: it keeps nothing between calls. `turn`: a heartbeat, called often."""

    def __init__(
        self,
        plan: DecodePlan,
        formats: tuple[str, ...],
        max_depth: int,
        turn: Callable[[], None] = lambda: None,
        form: TableForm = TableForm(),
    ) -> None:
        self._turn = turn
        self._form = form
        self._plan = plan
        self._formats = formats
        self._plugged = [name for name in formats if name not in JSON_FORMATS]
        self._max_depth = max_depth
        self._path = path_text(plan.records)
        self._nested = NestedReader(plan, max_depth, turn) if plan.nested else None
        self._fast = FastReader(own_plan(plan), max_depth) if self._nested is None else self._nested.fast
        self._quick = compile_quick_check(plan, max_depth)
        self._digits = any(column.kind in ("time_number", "time_any") for column in plan.columns)
        self._begins = None if plan.begin is None else ListBegins(plan, plan.begin, max_depth, turn)
        self._columns = ColumnPayloads(plan, max_depth, turn) if plan.columnar else None
        self._is_document = plan.nested or bool(plan.begin is not None and plan.begin.plan.outer)

    def read_payloads(
        self, payloads: Sequence[tuple[bytes, str]], *, limit: int | None = None, watch: range = range(0)
    ) -> Reading:
        """Read payloads, each (body, format). With a `limit` reading stops after so many records at fault; the faults
        of records with an index in `watch` are kept."""
        undecodable: dict[int, tuple[str, str]] = {}
        for number, (_, form) in enumerate(payloads) if self._plan.given else ():
            if (fault := given_fault(self._plan.given, split_format(form)[1])) is not None:
                undecodable[number] = fault
        payloads = [(body, format_name(form)) for body, form in payloads]
        if self._plugged:
            payloads = [self._as_json(number, *payload, undecodable) for number, payload in enumerate(payloads)]
        reading = Reading(self._plan, payloads, limit)
        reading.watch = watch
        by_format: dict[str, list[int]] = {}
        for number, (_, name) in enumerate(payloads):
            if number not in undecodable:
                by_format.setdefault(name, []).append(number)
        for number, (code, message) in undecodable.items():
            reading.refuse_payload(number, code, message)
        bodies = [strip_body(body) for body, _ in payloads]
        for name, numbers in by_format.items():
            if (why := self._why_not_taken(name)) is not None:
                for number in numbers:
                    reading.refuse_payload(number, "unknown_format", why)
                continue
            left = self._read_shapes(reading, numbers, bodies, lines=name == "ndjson")
            for first in range(0, len(left), _GROUP):
                self._read_group(reading, left[first : first + _GROUP], bodies, lines=name == "ndjson")
        if not self._plan.may_be_empty and not reading.stopped:
            for number in [number for number, count in enumerate(reading.counts) if count == 0]:
                reading.refuse_payload(number, "empty", "holds no record; send one, or an array of them")
        return reading

    def _why_not_taken(self, name: str) -> str | None:
        """Why payloads of a format are not taken, or None."""
        if name != _DECODED and name not in self._formats:
            return f"this feed takes {' or '.join(self._formats)}"
        return _NO_LINES if self._is_document and name == "ndjson" else None

    def _read_shapes(self, reading: Reading, numbers: list[int], bodies: list[bytes], *, lines: bool) -> list[int]:
        """Read payloads of parallel arrays, and the begin of lists with a step; returns the payloads that are left to
        be read as records."""
        if self._columns is not None:
            for number in numbers:
                if not reading.stopped:
                    self._columns.read_payload(reading, number, bodies[number], lines=lines)
            return []
        if self._begins is None:
            return numbers
        return [number for number in numbers if self._begins.read_lists(reading, number, lines=lines)]

    def _as_json(
        self, number: int, body: bytes, name: str, undecodable: dict[int, tuple[str, str]]
    ) -> tuple[bytes, str]:
        """(body, format) to read of a payload: converted to JSON, if its format is a plug-in's."""
        if name not in self._plugged:
            return body, name
        try:
            return as_json(name, body, self._form), _DECODED
        except ValueError as error:
            undecodable[number] = "undecodable", str(error)
            return b"", _DECODED

    def _read_group(self, reading: Reading, numbers: list[int], bodies: list[bytes], *, lines: bool) -> None:
        if reading.stopped:
            return
        if self._nested is not None and not lines:
            self._nested.read_group(reading, numbers)
            return
        decoded = self._fast.read_payloads([bodies[number] for number in numbers], lines=lines)
        if decoded is not None and max(decoded[1]) <= MAX_RECORDS:
            columns, counts = decoded
            for number, count in zip(numbers, counts, strict=True):
                reading.counts[number] = count
            reading.add_rows(columns, np.repeat(numbers, counts), _indexes(counts))
        elif len(numbers) > 1:
            for part in self._split_group(numbers, bodies, lines=lines):
                self._read_group(reading, part, bodies, lines=lines)
        else:
            self._read_payload(reading, numbers[0], bodies[numbers[0]], lines=lines)

    def _split_group(self, numbers: list[int], bodies: list[bytes], *, lines: bool) -> tuple[list[int], list[int]]:
        """Two parts of payloads that are not all certain: the certain ones and the others, where the quick check tells
        them apart, else two halves."""
        if self._quick is not None and not lines and len(numbers) >= BLOCK:
            certain = [number for number in numbers if self._quick(bodies[number])]
            if 0 < len(certain) < len(numbers):
                known = set(certain)
                return certain, [number for number in numbers if number not in known]
        middle = len(numbers) // 2
        return numbers[:middle], numbers[middle:]

    def _read_payload(self, reading: Reading, number: int, body: bytes, *, lines: bool) -> None:
        if not body:
            reading.refuse_payload(number, "empty_body", "there is nothing here; send a JSON document")
            return
        body, faults = reading.payload_body(number), FaultCollector()
        cut = cut_lines(body) if lines else cut_document(body, self._plan.records, self._max_depth, faults)
        if cut is None:
            reading.counts[number] = 1
            reading.reject_record(number, 0, faults)
        elif len(cut) > MAX_RECORDS:
            reading.refuse_payload(number, "too_many_records", _TOO_MANY)
        elif cut.listed:
            reading.counts[number] = len(cut)
            self._read_blocks(reading, number, body, cut, lines=lines)
        else:
            reading.counts[number] = 1
            self._read_strict(reading, (number, 0), cut.pieces(body, 0, 1)[0], self._path, 1)

    def _read_blocks(self, reading: Reading, number: int, body: bytes, cut: Cut, *, lines: bool) -> None:
        """Read the records of a payload that the fast reader is not certain of as a whole."""
        path, counter = "$" if lines else self._path, _LineCounter(body)

        def read_certain(first: int, last: int) -> bool:
            columns = self._read_block_fast(cut.pieces(body, first, last), lines=lines)
            if columns is not None:
                reading.add_rows(columns, np.full(last - first, number), np.arange(first, last))
            return columns is not None

        def read_strictly(index: int) -> bool:
            line = counter.line_at(cut.starts[index]) if lines else 1
            piece = body[cut.starts[index] : cut.ends[index]]
            return self._read_strict(reading, (number, index), piece, f"{path}[{index}]", line)

        def may_go_on() -> bool:
            self._turn()
            return not reading.stopped

        read_blocks(len(cut), read_certain, read_strictly, may_go_on)

    def _read_block_fast(self, pieces: list[bytes], *, lines: bool) -> DecodedColumns | None:
        """Records as columns by the fast reader; None if it is not certain of all of them."""
        if not lines:
            return self._fast.read_records(pieces)
        decoded = self._fast.read_payloads([b"\n".join(pieces).strip(WHITE)], lines=True)
        return None if decoded is None else decoded[0]

    def _read_strict(self, reading: Reading, record_key: tuple[int, int], piece: bytes, path: str, line: int) -> bool:
        """Read one record, (payload, index) `record_key`, by the strict reader; returns whether it is without fault.
        `line`: the payload's line at which the record begins."""
        faults = FaultCollector()
        value: Any = parse_json(piece, path, self._max_depth, faults, line=line, digits=self._digits)
        record = None if faults.count else read_record(value, path, self._plan, faults)
        if record is None or faults.count:
            reading.reject_record(*record_key, faults, record)
            return False
        reading.add_record(record, *record_key, faults.marks)
        return True


class _LineCounter:
    """Counts lines, from 1, for ascending offsets of a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at, self._number = 0, 1

    def line_at(self, at: int) -> int:
        """The line of an offset, which must not be below that of the call before."""
        self._number += self._body.count(b"\n", self._at, at)
        self._at = at
        return self._number


def _indexes(counts: list[int]) -> NDArray[np.int64]:
    """[2, 3] -> [0, 1, 0, 1, 2]."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1]) - np.repeat(ends - counts, counts)
