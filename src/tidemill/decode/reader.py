"""Payloads -> records without fault, as columns, and records with their faults. Joins the fast and the strict reader.

Payloads go to the fast reader together. If it is not certain of all of them, they are halved until the ones that need
the strict reader stand alone; a payload of many records is cut and halved in the same way. So a broken record costs
some twenty microseconds of its own and its neighbours next to nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.decode.documents import WHITE, Splitter, split_lines, strip
from tidemill.decode.fast import Columns, FastReader
from tidemill.decode.faults import Faults
from tidemill.decode.plan import Plan
from tidemill.decode.plugin import as_json
from tidemill.decode.quick import quick_check
from tidemill.decode.scan import BOM, depth_within, is_utf8
from tidemill.decode.strict import Record, read_record
from tidemill.decode.strict_json import Object, name_of, parse, words
from tidemill.feeds.formats import JSON_FORMATS
from tidemill.model.payload import MAX_RECORDS

_TOGETHER: Final = 1024  # payloads read in one call: past some hundred the gain is small, the cost of halving is not
_DECODED: Final = ""  # the format of what a plug-in made: a JSON array of records
_STRICT_BELOW: Final = 8  # records that are not worth halving further


class Place(msgspec.Struct, frozen=True):
    """Where a faulty record is: the payload's place in what was asked, the record's index in it; `record` is what was
    read of it where that tells its time."""

    payload: int
    index: int
    faults: Faults
    record: Record | None = None


class Reading:
    """What was read: `chunks` of columns with the payload and index of each row, `faulty` records, `counts` of records
    for each payload. Ends early (`stopped`) once `limit` faulty records were found."""

    def __init__(self, payloads: Sequence[tuple[bytes, str]], limit: int | None) -> None:
        self.chunks: list[tuple[Columns, NDArray[np.int64], NDArray[np.int64]]] = []
        self.faulty: list[Place] = []
        self.counts = [0] * len(payloads)
        self._payloads = payloads
        self._limit = limit

    @property
    def stopped(self) -> bool:
        """Whether so many faulty records were found that reading on tells nothing new."""
        return self._limit is not None and len(self.faulty) >= self._limit

    def whole(self, number: int) -> bytes:
        """A payload as it came, but for a byte order mark: places in it are counted from here."""
        return self._payloads[number][0].removeprefix(BOM)

    def add(self, columns: Columns, payloads: NDArray[np.int64], indexes: NDArray[np.int64]) -> None:
        """Take rows without fault."""
        if columns.count:
            self.chunks.append((columns, payloads, indexes))

    def add_record(self, record: Record, payload: int, index: int) -> None:
        """Take one record of the strict reader."""
        registers = None if record.registers is None else [record.registers]
        columns = Columns(1, record.walls(), [[value] for value in record.values], registers)
        self.chunks.append((columns, np.array([payload]), np.array([index])))


class Reader:
    """Reads payloads of one feed. Thread-safe: it keeps nothing between calls."""

    def __init__(self, plan: Plan, formats: tuple[str, ...], max_depth: int) -> None:
        self._plan = plan
        self._formats = formats
        self._plugged = [name for name in formats if name not in JSON_FORMATS]
        self._max_depth = max_depth
        self._fast = FastReader(plan, max_depth)
        self._splitter = Splitter(plan.records)
        self._quick = quick_check(plan, max_depth)

    def read(self, payloads: Sequence[tuple[bytes, str]], *, limit: int | None = None) -> Reading:
        """Read (body, format) of each payload."""
        undecodable: dict[int, str] = {}
        if self._plugged:
            payloads = [self._plain(number, *payload, undecodable) for number, payload in enumerate(payloads)]
        reading = Reading(payloads, limit)
        by_format: dict[str, list[int]] = {}
        for number, (_, name) in enumerate(payloads):
            if number not in undecodable:
                by_format.setdefault(name, []).append(number)
        for number, message in undecodable.items():
            _refuse(reading, number, "undecodable", message)
        bodies = [strip(body) for body, _ in payloads]
        for name, numbers in by_format.items():
            if name != _DECODED and name not in self._formats:
                for number in numbers:
                    _refuse(reading, number, "unknown_format", f"this feed takes {' or '.join(self._formats)}")
                continue
            for first in range(0, len(numbers), _TOGETHER):
                self._group(reading, numbers[first : first + _TOGETHER], bodies, lines=name == "ndjson")
        if not self._plan.may_be_empty and not reading.stopped:
            for number in [number for number, count in enumerate(reading.counts) if count == 0]:
                _refuse(reading, number, "empty", "holds no record; send one, or an array of them")
        return reading

    def _plain(self, number: int, body: bytes, name: str, undecodable: dict[int, str]) -> tuple[bytes, str]:
        """A payload as it is read: what a plug-in makes of it, if its format is a plug-in's."""
        if name not in self._plugged:
            return body, name
        try:
            return as_json(name, body), _DECODED
        except ValueError as error:
            undecodable[number] = str(error)
            return b"", _DECODED

    def _group(self, reading: Reading, numbers: list[int], bodies: list[bytes], *, lines: bool) -> None:
        if reading.stopped:
            return
        found = self._fast.read([bodies[number] for number in numbers], lines=lines)
        if found is not None and max(found[1]) <= MAX_RECORDS:
            columns, counts = found
            for number, count in zip(numbers, counts, strict=True):
                reading.counts[number] = count
            reading.add(columns, np.repeat(numbers, counts), _indexes(counts))
        elif len(numbers) > 1:
            for part in self._parts(numbers, bodies, lines=lines):
                self._group(reading, part, bodies, lines=lines)
        else:
            self._payload(reading, numbers[0], bodies[numbers[0]], lines=lines)

    def _parts(self, numbers: list[int], bodies: list[bytes], *, lines: bool) -> tuple[list[int], list[int]]:
        """Two parts of payloads that are not all certain: the certain and the others where that is quickly known, else
        two halves."""
        if self._quick is not None and not lines and len(numbers) >= _STRICT_BELOW:
            certain = [number for number in numbers if self._quick(bodies[number])]
            if 0 < len(certain) < len(numbers):
                known = set(certain)
                return certain, [number for number in numbers if number not in known]
        middle = len(numbers) // 2
        return numbers[:middle], numbers[middle:]

    def _payload(self, reading: Reading, number: int, body: bytes, *, lines: bool) -> None:
        if not body:
            _refuse(reading, number, "empty_body", "there is nothing here; send a JSON document")
            return
        pieces: list[bytes] | None
        if lines:
            pieces = split_lines(body)
        else:
            whole = is_utf8(body) and depth_within(body, self._max_depth)
            pieces = self._splitter.split(body) if whole else None
        if pieces is None:
            self._document(reading, number, reading.whole(number))
        elif len(pieces) > MAX_RECORDS:
            _refuse(reading, number, "too_many_records", _too_many(len(pieces)))
        else:
            reading.counts[number] = len(pieces)
            self._pieces(reading, number, pieces, 0, _line_numbers(reading.whole(number)) if lines else None)

    def _pieces(self, reading: Reading, number: int, pieces: list[bytes], first: int, lines: list[int] | None) -> None:
        """Records cut apart, of which at least one needs the strict reader. `lines`: the line of each of the payload's
        records, where it has lines."""
        if reading.stopped:
            return
        if len(pieces) < _STRICT_BELOW:
            for index, piece in enumerate(pieces, first):
                faults = Faults()
                path, line = (f"$[{index}]", lines[index]) if lines else (f"${self._splitter.path}[{index}]", 1)
                value = parse(piece, path, self._max_depth, faults, line=line)
                self._record(reading, (number, index), value, path, faults)
            return
        middle = len(pieces) // 2
        for start, half in ((first, pieces[:middle]), (first + middle, pieces[middle:])):
            found = self._fast.read([b"\n".join(half)], lines=True)
            if found is None:
                self._pieces(reading, number, half, start, lines)
            else:
                reading.add(found[0], np.full(len(half), number), np.arange(start, start + len(half)))

    def _document(self, reading: Reading, number: int, body: bytes) -> None:
        """A whole JSON document by the strict reader."""
        faults = Faults()
        path, value = "$", parse(body, "$", self._max_depth, faults)
        for key in self._plan.records:
            value = _descend(value, path, key, faults)
            path = f"{path}.{key}"
        if faults.count == 0 and isinstance(value, list):
            if len(value) > MAX_RECORDS:
                _refuse(reading, number, "too_many_records", _too_many(len(value)))
                return
            reading.counts[number] = len(value)
            for index, item in enumerate(value):
                self._record(reading, (number, index), item, f"{path}[{index}]", Faults())
            return
        reading.counts[number] = 1
        self._record(reading, (number, 0), value, path, faults)

    def _record(self, reading: Reading, place: tuple[int, int], value: Any, path: str, faults: Faults) -> None:
        record = None if faults.count else read_record(value, path, self._plan, faults)
        if record is None or faults.count:
            reading.faulty.append(Place(*place, faults, record if record and record.timed else None))
        else:
            reading.add_record(record, *place)


def _line_numbers(body: bytes) -> list[int]:
    """The number of each line that is not blank, from 1."""
    return [number for number, line in enumerate(body.split(b"\n"), 1) if line.strip(WHITE)]


def _descend(value: Any, path: str, key: str, faults: Faults) -> Any:
    """The member `key` of a document on the way to its records; None with a fault where there is none."""
    if faults.count:
        return None
    if not isinstance(value, Object):
        faults.add(path, "wrong_type", f"must be an object, is {name_of(value)}")
        return None
    if key in value.twice:
        faults.add(f"{path}.{key}", "duplicate_key", f"'{key}' is there twice")
    if key not in value:
        faults.add(f"{path}.{key}", "missing", "is missing; it must be an array of records")
    for other, item in value.items():
        if other != key:
            for where in words(item, f"{path}.{other}"):
                faults.add(where, "not_finite", "NaN and Infinity are not JSON; leave the member out or send a number")
    return value.get(key)


def _refuse(reading: Reading, number: int, code: str, message: str) -> None:
    """A payload that is at fault as a whole counts as one record."""
    faults = Faults()
    faults.add("$", code, message)
    reading.counts[number] = 1
    reading.faulty.append(Place(number, 0, faults))


def _too_many(count: int) -> str:
    return f"{count} records are more than the {MAX_RECORDS} that a payload may hold; send several"


def _indexes(counts: list[int]) -> NDArray[np.int64]:
    """[2, 3] -> [0, 1, 0, 1, 2]."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1]) - np.repeat(ends - counts, counts)
