"""Reads what is around records: members of the levels above them, and keys. Each is read as a record of its own, an
object that is put together of what was cut out, by the same readers as records are."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.decode.blocks import read_blocks
from tidemill.decode.fast import DecodedColumns, FastReader
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.nest import Nest, key_text
from tidemill.decode.plan import DecodePlan, OuterPart, read_tree
from tidemill.decode.strict import Record, read_outer
from tidemill.decode.strict_json import Object, parse_json
from tidemill.decode.times import LocalTimes
from tidemill.feeds.levels import Level
from tidemill.feeds.paths import KEY_NAME, below

# What is above records is repeated for each of them; the texts and lists of a payload so often as this many bytes.
MAX_REPEATED: Final = 64 << 20
TOO_MUCH: Final = (
    f"what is above the records is repeated for each, more than {MAX_REPEATED >> 20} MiB in all; send fewer at once"
)
_REPEATED: Final = ("attribute", "labels", "numbers", "packed_list", "octets")  # kinds whose bytes are for each record


class OuterColumns(msgspec.Struct, frozen=True):
    """What was read of one part of a payload, a row for each group. `bad`: which of them have faults or marks, so that
    their records are read strictly."""

    columns: DecodedColumns
    bad: NDArray[np.bool_]
    cache: dict[int, tuple[Record, FaultCollector]]


def part_plan(plan: DecodePlan, numbers: Sequence[int], except_keys: frozenset[str] | None = None) -> DecodePlan:
    """The plan of these columns alone, read from a record of their own."""
    paths = {place: below(plan.columns[number].keys) for place, number in enumerate(numbers)}
    root = read_tree(paths)
    names = [tuple(step if isinstance(step, str | int) else KEY_NAME for step in path) for path in paths.values()]
    columns = [msgspec.structs.replace(plan.columns[n], keys=keys) for n, keys in zip(numbers, names, strict=True)]
    return msgspec.structs.replace(
        plan,
        columns=tuple(columns),
        root=root,
        records=(),
        offset_required=False,
        except_keys=except_keys,
        position_columns=None,
        given=(),
        derived=(),
        outer=(),
        columnar=False,
        begin=None,
    )


class OuterReader:
    """Reads one part. `step`: that of the path of records at which its value is; `names` of the members that must be
    noted there, () for a key; `by_record`: it is the key of the records themselves. Thread-safe."""

    def __init__(self, plan: DecodePlan, part: OuterPart, levels: Sequence[Level], max_depth: int) -> None:
        self.part, self.columns = part, part.columns
        self.by_record = part.ups == 0
        self._level = None if self.by_record else levels[part.ups - 1]
        self.step = len(plan.records) if self._level is None else self._level.step
        keys = (*part.root.columns, *part.root.nodes)
        self.names = () if part.of_key else tuple(str(key) for key in keys)
        self.fast = FastReader(part_plan(plan, part.columns), max_depth)
        self._plan, self._max_depth = plan, max_depth
        self._digits = any(plan.columns[number].kind in ("time_number", "time_any") for number in part.columns)

    def pieces(self, body: bytes, nest: Nest, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """The records of the part as JSON objects, by group (by record: those of [first, last))."""
        if self._level is None:
            return nest.key_pieces(body, nest.depth + 1, first, last)
        if self.part.of_key:
            return nest.key_pieces(body, self._level.depth, first, last)
        return nest.level_pieces(body, self.step, self.names, first, last)

    def rows(self, nest: Nest, first: int, last: int) -> NDArray[np.int64]:
        """For each of the records [first, last) the row of its group."""
        return np.arange(first, last) if self._level is None else nest.rows_at(self._level.depth, first, last)

    def repeated_bytes(self, nest: Nest, records: int) -> int:
        """The bytes that would be stored if each record got what is above it."""
        if self._level is None or self.part.of_key:
            return 0
        total = 0
        for number in self.columns:
            column = self._plan.columns[number]
            if column.kind in _REPEATED:
                sizes = nest.sizes(self.step, str(below(column.keys)[0]))
                if column.kind == "attribute":
                    sizes = np.minimum(sizes, 4 * column.max_length)
                total += int(sizes[self.rows(nest, 0, records)].sum())
        return total

    def read_all(self, body: bytes, nest: Nest, turn: Callable[[], None]) -> OuterColumns | None:
        """All groups of a payload; None for the keys of records, which are read with these."""
        if self._level is None:
            return None
        count = nest.nodes_at(self._level.depth)
        rows = _OuterRows(count, len(self.columns))
        cache: dict[int, tuple[Record, FaultCollector]] = {}

        def read_certain(first: int, last: int) -> bool:
            columns = self.fast.read_records(list(self.pieces(body, nest, first, last)))
            if columns is not None:
                rows.put_columns(columns, first, last)
            return columns is not None

        def read_group(index: int) -> bool:
            faults = FaultCollector()
            record = self._read(body, nest, index, "$", faults)
            if faults.count or faults.marks:
                rows.bad[index] = True
            else:
                rows.put_record(record, index, self.columns)
            return not faults.count

        def may_go_on() -> bool:
            turn()
            return True

        read_blocks(count, read_certain, read_group, may_go_on)
        return OuterColumns(rows.columns(), rows.bad, cache)

    def read_strictly(
        self, body: bytes, nest: Nest, record: int, known: OuterColumns | None, faults: FaultCollector
    ) -> Record:
        """What is around one record, by the strict reader; its faults are added. Read once for each group in a row."""
        if self._level is None or known is None:
            return self.read_one(body, nest, record, faults)
        group = nest.group_of(record, self._level)
        if group not in known.cache:
            known.cache.clear()
            own = FaultCollector()
            known.cache[group] = self._read(body, nest, group, nest.level_path(body, record, self._level), own), own
        read, own = known.cache[group]
        faults.extend(own)
        return read

    def read_one(self, body: bytes, nest: Nest, record: int, faults: FaultCollector) -> Record:
        """What is around one record, by the strict reader; its faults are added."""
        if self._level is None:
            value = Object({KEY_NAME: key_text(body, nest.records.places[record])})
            return read_outer(value, nest.record_path(body, record), self._plan, self.part, faults)
        group = nest.group_of(record, self._level)
        return self._read(body, nest, group, nest.level_path(body, record, self._level), faults)

    def _read(self, body: bytes, nest: Nest, row: int, path: str, faults: FaultCollector) -> Record:
        piece = next(self.pieces(body, nest, row, row + 1))
        before = faults.count
        value: Any = parse_json(piece, path, self._max_depth + 1, faults, digits=self._digits)
        if faults.count > before:
            unread = Record(len(self._plan.columns))
            unread.path = path
            return unread
        return read_outer(value, path, self._plan, self.part, faults)


class _OuterRows:
    """Collects the rows of a part, from both readers."""

    def __init__(self, count: int, columns: int) -> None:
        self._values: list[list[Any]] = [[None] * count for _ in range(columns)]
        self._offsets: list[int | None] = [None] * count
        self._ns, self._local = np.zeros(count, np.int64), np.zeros(count, np.uint8)
        self.bad = np.zeros(count, np.bool_)

    def put_columns(self, columns: DecodedColumns, first: int, last: int) -> None:
        """Rows of the fast reader."""
        for values, column in zip(self._values, columns.values, strict=True):
            if column:
                values[first:last] = column
        if columns.offsets is not None:
            self._offsets[first:last] = columns.offsets
        self._ns[first:last], self._local[first:last] = columns.times.ns, columns.times.local

    def put_record(self, record: Record, row: int, numbers: Sequence[int]) -> None:
        """A row of the strict reader."""
        for values, number in zip(self._values, numbers, strict=True):
            values[row] = record.values[number]
        self._offsets[row] = record.offset_s
        self._ns[row], self._local[row] = record.wall_ns, record.local

    def columns(self) -> DecodedColumns:
        """All rows; those that are bad hold nothing."""
        count = len(self.bad)
        times = LocalTimes(self._ns, self._local, np.ones(count, np.bool_))
        return DecodedColumns(count, times, self._values, offsets=self._offsets)
