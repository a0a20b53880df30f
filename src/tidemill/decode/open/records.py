"""The records of open feeds as columns, and the records at fault: what every reader of a format fills.

A reader reads one payload into `OpenRecords.payload(number)`. Rows that are alike come as a `Chunk`, a column a field;
single records come one by one. No order of rows is promised.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.batch import Batch, counts_frame, identities_frame
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.notes import TEXTS, marks_frame
from tidemill.decode.registers import REGISTERS
from tidemill.decode.rejected import Rejected
from tidemill.decode.times import INSTANT
from tidemill.model.payload import LogEntry

Tags = tuple[tuple[str, str], ...]  # sorted by key

NAME: Final = "_measurement"  # the tag that holds a record's name
NO_TIME: Final = np.iinfo(np.int64).min  # a record without a time: it takes the time of receipt


class FieldColumn(msgspec.Struct, frozen=True):
    """The values of a field of a chunk (f64); `valid`: which rows have one (None: all)."""

    name: str
    values: NDArray[np.float64]
    valid: NDArray[np.bool_] | None = None


class Chunk(msgspec.Struct, frozen=True):
    """Rows of a payload. `indexes`: of each row; `identities`: of each row, a number in `tags`; `times`: ns UTC, or
    NO_TIME; `rounded`: rows with an integer that is kept as the nearest double."""

    indexes: NDArray[np.int64]
    identities: NDArray[np.int64]
    tags: Sequence[Tags]
    times: NDArray[np.int64]
    fields: Sequence[FieldColumn]
    rounded: NDArray[np.int64] | None = None


class OpenRecord(msgspec.Struct):
    """One record. `time` in ns UTC (NO_TIME: none); `texts`: fields that are texts, kept as attributes."""

    tags: Tags
    time: int
    fields: dict[str, float]
    texts: dict[str, str] = {}
    rounded: bool = False


class OpenPayload:
    """The records of one payload. `count`: its records, those at fault included; `faults`: the number of records at
    fault; `refused`: why the payload as a whole cannot be read, or None."""

    def __init__(self, records: "OpenRecords", number: int) -> None:
        self._records, self._number = records, number
        self.count = 0
        self.faults = 0
        self.refused: FaultCollector | None = None

    def add_chunk(self, chunk: Chunk) -> None:
        """Add rows."""
        self._records.chunks.append((self._number, chunk))

    def add_record(self, index: int, record: OpenRecord) -> None:
        """Add one record."""
        self._records.single.append((self._number, index, record))

    def reject(self, index: int, path: str, code: str, message: str) -> None:
        """Add a record at fault."""
        faults = FaultCollector()
        faults.add(path, code, message)
        self.faults += 1
        self._records.note_fault(self._number, index, faults)

    def refuse(self, code: str, message: str) -> None:
        """The payload cannot be read as a whole: it counts as one record, and has no other."""
        self.refused = FaultCollector()
        self.refused.add("$", code, message)
        self.count = 1


class OpenRecords:
    """The records of some payloads. `on_fault`: called for each record at fault (payload, index, faults), instead of
    keeping it as a rejection."""

    def __init__(self, on_fault: Callable[[int, int, FaultCollector], None] | None = None) -> None:
        self.chunks: list[tuple[int, Chunk]] = []
        self.single: list[tuple[int, int, OpenRecord]] = []
        self.rejected = Rejected()
        self._on_fault = on_fault

    def payload(self, number: int) -> OpenPayload:
        """Where a reader puts what it reads of payload `number`."""
        return OpenPayload(self, number)

    def note_fault(self, number: int, index: int, faults: FaultCollector) -> None:
        """A record at fault."""
        if self._on_fault is None:
            self.rejected.add(number, index, faults)
        else:
            self._on_fault(number, index, faults)

    def drop(self, number: int) -> None:
        """Forget all rows of a payload, which is refused as a whole."""
        self.chunks = [pair for pair in self.chunks if pair[0] != number]
        self.single = [row for row in self.single if row[0] != number]

    def series(self) -> Iterable[tuple[Tags, tuple[str, ...]]]:
        """(tags, fields) of all records, each pair once or more: with chunks a pair for each set of tags."""
        for _, chunk in self.chunks:
            names = tuple(column.name for column in chunk.fields)
            yield from ((tags, names) for tags in chunk.tags)
        yield from {(record.tags, tuple(record.fields)): None for _, _, record in self.single}

    def batch(self, payloads: Sequence[LogEntry], counts: Sequence[int]) -> Batch:
        """The batch of what was read of these payloads, in their order."""
        seqs = np.array([entry.seq for entry in payloads], np.uint64)
        received = np.array([entry.payload.received_ns for entry in payloads], np.int64)
        numbers = _Identities()
        parts = [self._rows(number, chunk, numbers) for number, chunk in self.chunks]
        parts += self._single_rows(numbers)
        owners, idx, identity, times = (_joined([part[n] for part in parts]) for n in range(4))
        wall = np.where(times == NO_TIME, received[owners], times)
        frame = pl.DataFrame(
            [
                pl.Series("seq", seqs[owners]),
                pl.Series("idx", idx.astype(np.uint32)),
                pl.Series("received_ns", received[owners]),
                pl.Series("identity", identity.astype(np.uint32)),
                pl.Series("wall_ns", wall),
                pl.Series("local", np.full(len(wall), INSTANT, np.uint8)),
            ]
        )
        rejections = self.rejected.frame()
        if len(rejections):
            rejections = rejections.with_columns(pl.Series("seq", seqs[rejections["seq"].to_numpy()]))
        return Batch(
            frame,
            rejections,
            identities_frame([dict(tags) for tags in numbers.known]),
            counts_frame(payloads, counts),
            registers=self._registers(seqs),
            null_registers=pl.DataFrame(schema={name: REGISTERS[name] for name in ("seq", "idx", "field")}),
            marks=self._marks(seqs),
            texts=self._texts(seqs),
        )

    def _rows(self, number: int, chunk: Chunk, numbers: "_Identities") -> tuple[Any, ...]:
        known = np.array([numbers.number(tags) for tags in chunk.tags], np.int64)
        return np.full(len(chunk.indexes), number), chunk.indexes, known[chunk.identities], chunk.times

    def _single_rows(self, numbers: "_Identities") -> list[tuple[Any, ...]]:
        if not self.single:
            return []
        rows = [(number, index, numbers.number(record.tags), record.time) for number, index, record in self.single]
        return [tuple(np.array(column, np.int64) for column in zip(*rows, strict=True))]

    def _registers(self, seqs: NDArray[np.uint64]) -> pl.DataFrame:
        frames = [pl.DataFrame(schema=REGISTERS)]
        for number, chunk in self.chunks:
            idx = chunk.indexes.astype(np.uint32)
            for column in chunk.fields:
                rows = slice(None) if column.valid is None else column.valid
                frames.append(_values(seqs[number], idx[rows], column.name, column.values[rows]))
        triples = [
            (seqs[number], index, name, value)
            for number, index, record in self.single
            for name, value in record.fields.items()
        ]
        if triples:
            frames.append(pl.DataFrame(triples, schema=REGISTERS, orient="row"))
        return pl.concat(frames)

    def _marks(self, seqs: NDArray[np.uint64]) -> pl.DataFrame | None:
        rows: list[tuple[int, Any]] = [
            (number, chunk.indexes[chunk.rounded]) for number, chunk in self.chunks if chunk.rounded is not None
        ]
        rows += [(number, [index]) for number, index, record in self.single if record.rounded]
        if not rows:
            return None
        owners = np.concatenate([np.full(len(indexes), number) for number, indexes in rows]).astype(np.int64)
        return marks_frame(seqs[owners], np.concatenate([indexes for _, indexes in rows]), "not_exact")

    def _texts(self, seqs: NDArray[np.uint64]) -> pl.DataFrame | None:
        rows = [
            (seqs[number], index, key, value)
            for number, index, record in self.single
            for key, value in record.texts.items()
        ]
        return pl.DataFrame(rows, schema=TEXTS, orient="row") if rows else None


class _Identities:
    """Numbers sets of tags."""

    def __init__(self) -> None:
        self.known: dict[Tags, int] = {}

    def number(self, tags: Tags) -> int:
        return self.known.setdefault(tags, len(self.known))


def sorted_tags(tags: Mapping[str, str]) -> Tags:
    """The tags of a record as they are compared."""
    return tuple(sorted(tags.items()))


def _values(seq: Any, idx: NDArray[np.uint32], name: str, values: NDArray[np.float64]) -> pl.DataFrame:
    columns = [pl.Series("idx", idx), pl.Series("value", values)]
    return pl.DataFrame(columns).select(
        pl.lit(int(seq), pl.UInt64).alias("seq"), "idx", pl.lit(name).alias("field"), "value"
    )


def _joined(parts: Sequence[Any]) -> Any:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
