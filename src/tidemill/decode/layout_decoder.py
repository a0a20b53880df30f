"""Checks and decodes payloads of binary records: many payloads as one array, column by column."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.batch import Batch, counts_frame, identities_frame
from tidemill.decode.envelope import unwrap
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.given import given_fault, given_tags, given_texts
from tidemill.decode.layout import JudgedColumn, Slot, compile_layout, number_distinct
from tidemill.decode.notes import marks_frame
from tidemill.decode.rejected import Rejected
from tidemill.decode.spans import RecordSpans, layout_spans
from tidemill.decode.steps import STEP_COUNT, STEP_NS, step_columns
from tidemill.decode.texts import Texts
from tidemill.decode.times import INSTANT, WALL
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed, Layout
from tidemill.feeds.steps import parse_step
from tidemill.model.payload import MAX_RECORDS, LogEntry, split_format

_FAULTY_RECORDS: Final = 1000  # a check stops after so many


class RecordColumns(msgspec.Struct):
    """The records of some payloads as columns. `counts`: the records of each payload; `refused`: the faults of payloads
    that are at fault as a whole; `payloads`, `indexes`: of each row; `columns`: by slot; `good`: rows without fault."""

    counts: list[int]
    refused: dict[int, FaultCollector]
    payloads: NDArray[np.int64]
    indexes: NDArray[np.int64]
    columns: list[JudgedColumn]
    good: NDArray[np.bool_]


class LayoutDecoder:
    """Reads binary payloads. Thread-safe."""

    def __init__(self, feed: Feed, layout: Layout) -> None:
        self._formats = feed.input.formats
        self._layout = layout
        self._compiled = compile_layout(feed, layout)
        self._given = given_tags(feed)
        self._may_be_empty = feed.input.on_fault == "reject" or feed.source is not None
        self._received = feed.time.received
        self._local = WALL if feed.time.epoch == "local" else INSTANT
        self._stepped = bool(feed.time.steps)
        self._step = None if feed.time.step is None else parse_step(feed.time.step)

    def check_payload(self, body: bytes, format: str) -> tuple[Fault, ...]:
        """Every fault of a payload; () when all its records fit the contract."""
        read = self._read([(body, format)])
        if read.refused:
            return read.refused[0].all()
        bad = np.flatnonzero(~read.good)
        faults = FaultCollector()
        for row in bad[:_FAULTY_RECORDS].tolist():
            faults.extend(self._faults(read, row))
        return faults.all(stopped=len(bad) > _FAULTY_RECORDS)

    def record_spans(self, body: bytes, format: str) -> RecordSpans:
        """Where the records of a payload are in its bytes."""
        form = format if format in self._formats else "binary"
        return layout_spans(body, form, self._layout.header_bytes, self._layout.record_bytes)

    def record_faults(self, body: bytes, format: str, watch: range) -> dict[int, tuple[Fault, ...]]:
        """The faults of the records whose index is in `watch`; those of the whole payload are of record 0."""
        read = self._read([(body, format)])
        if read.refused:
            return {0: read.refused[0].all()} if 0 in watch else {}
        bad = np.flatnonzero(~read.good)
        chosen = bad[(bad >= watch.start) & (bad < watch.stop)].tolist()
        return {row: self._faults(read, row).all() for row in chosen}

    def decode_batch(self, payloads: Sequence[LogEntry]) -> Batch:
        """Many payloads as one batch."""
        read = self._read([(logged.payload.body, logged.payload.format) for logged in payloads])
        seqs = np.array([logged.seq for logged in payloads], np.uint64)
        received = np.array([logged.payload.received_ns for logged in payloads], np.int64)
        good, bad = np.flatnonzero(read.good), np.flatnonzero(~read.good)
        identity, tags = self._number_tag_sets(read, good, [logged.payload.format for logged in payloads])
        rejected = Rejected()
        for number, faults in read.refused.items():
            rejected.add(payloads[number].seq, 0, faults)
        for row in bad.tolist():
            rejected.add(payloads[read.payloads[row]].seq, int(read.indexes[row]), self._faults(read, row))
        return Batch(
            self._frame(read, good, seqs, received, identity),
            rejected.frame(),
            identities_frame(tags),
            counts_frame(payloads, read.counts),
            stamps=self._times(read, bad[self._has_time(read)[bad]], seqs, received),
            marks=_marks(read, good, seqs),
        )

    def record_texts(self, body: bytes, format: str) -> Texts:
        """The hexadecimal digits of each record's bytes; of a payload that is not whole records of the layout the
        digits of all its bytes, or its text where it is not base64 or hexadecimal."""
        if format not in self._formats:
            return Texts(body, digits=format == "binary")
        try:
            whole = unwrap(body, format)
        except ValueError:
            return Texts(body)
        if self._size_fault(whole):
            return Texts(whole, digits=True)
        starts = range(self._layout.header_bytes, len(whole), self._layout.record_bytes)
        ends = range(starts.start + starts.step, len(whole) + 1, starts.step)
        return Texts(whole, starts, ends, digits=True)

    def _size_fault(self, whole: bytes) -> tuple[str, str] | None:
        """(code, sentence) of the fault of a payload's size, or None."""
        header, record = self._layout.header_bytes, self._layout.record_bytes
        body = len(whole) - header
        if not whole and (header or not self._may_be_empty):
            return "empty_body", "there is nothing here; send records"
        head = f"a header of {header} and " if header else ""
        if body < 0 or body % record:
            left = f"{body % record} bytes are over" if body >= 0 else "it ends within the header"
            return "wrong_size", f"has {len(whole)} bytes, which is not {head}whole records of {record}: {left}"
        if body == 0 and not self._may_be_empty:
            return "empty", "holds no record"
        if body // record > MAX_RECORDS:
            return "too_many_records", f"{body // record} records are more than the {MAX_RECORDS} of a payload"
        return None

    def _read(self, payloads: Sequence[tuple[bytes, str]]) -> RecordColumns:
        sizes, refused = [0] * len(payloads), dict[int, FaultCollector]()
        heads, bodies, taken = [], [], []
        for number, (body, format) in enumerate(payloads):
            whole = self._unwrap_body(body, format, refused, number)
            if whole is None:
                sizes[number] = 1
                continue
            view = memoryview(whole)
            heads.append(view[: self._layout.header_bytes])
            bodies.append(view[self._layout.header_bytes :])
            taken.append(number)
            sizes[number] = len(bodies[-1]) // self._layout.record_bytes
        per_payload = np.array([sizes[number] for number in taken], np.int64)
        records = np.frombuffer(_joined(bodies), self._compiled.record)
        headers = np.frombuffer(_joined(heads), self._compiled.header) if self._layout.header_bytes else None
        owners = np.repeat(np.arange(len(taken)), per_payload)
        columns = [self._judge_column(slot, records, headers, owners) for slot in self._compiled.slots]
        good = np.ones(len(records), np.bool_)
        for column in columns:
            good &= column.good
        starts = np.cumsum(per_payload) - per_payload
        return RecordColumns(
            sizes,
            refused,
            np.array(taken, np.int64)[owners],
            np.arange(len(records)) - starts[owners],
            columns,
            good,
        )

    def _judge_column(self, slot: Slot, records: Any, headers: Any, owners: NDArray[np.int64]) -> JudgedColumn:
        return slot.judge(headers[slot.column]).repeated(owners) if slot.in_header else slot.judge(records[slot.column])

    def _unwrap_body(self, body: bytes, format: str, refused: dict[int, FaultCollector], number: int) -> bytes | None:
        """The unwrapped bytes of a payload of the right size; else None, with its faults in `refused`."""
        faults = refused[number] = FaultCollector()
        format, variables = split_format(format)
        if (fault := given_fault(self._given, variables)) is not None:
            faults.add("$", *fault)
            return None
        if format not in self._formats:
            faults.add("$", "unknown_format", f"this feed takes {' or '.join(self._formats)}")
            return None
        try:
            whole = unwrap(body, format)
        except ValueError as error:
            faults.add("$", "undecodable", str(error))
            return None
        fault = self._size_fault(whole)
        if fault is not None:
            faults.add("$", *fault)
            return None
        del refused[number]
        return whole

    def _faults(self, read: RecordColumns, row: int) -> FaultCollector:
        faults = FaultCollector()
        for slot, column in zip(self._compiled.slots, read.columns, strict=True):
            if not column.good[row]:
                column.explain(row, f"$[{read.indexes[row]}].{slot.name}", faults)
        return faults

    def _number_tag_sets(
        self, read: RecordColumns, rows: NDArray[np.int64], formats: list[str]
    ) -> tuple[NDArray[np.uint32], list[dict[str, str]]]:
        """(identity of each row, the tags of each identity). `formats` are those of the payloads."""
        tag_columns: list[tuple[str, Any, Any]] = [
            (slot.name, column.codes[rows], column.values)
            for slot, column in zip(self._compiled.slots, read.columns, strict=True)
            if slot.column.startswith("t.") and column.codes is not None
        ]
        for tag, texts in zip(self._given, given_texts(self._given, formats), strict=True):
            known = {text: code for code, text in enumerate(dict.fromkeys(texts))}
            codes = np.array([known[text] for text in texts], np.int64)
            tag_columns.append((tag.name, codes[read.payloads[rows]], list(known)))
        if not tag_columns:
            return np.zeros(len(rows), np.uint32), [{}] if len(rows) else []
        numbers, first = number_distinct([codes for _, codes, _ in tag_columns])
        sets = [{name: values[codes[row]] for name, codes, values in tag_columns} for row in first.tolist()]
        present = [{name: value for name, value in tags.items() if value is not None} for tags in sets]
        return numbers.astype(np.uint32), present

    def _times(
        self, read: RecordColumns, rows: NDArray[np.int64], seqs: NDArray[np.uint64], received: NDArray[np.int64]
    ) -> pl.DataFrame:
        """`seq`, `idx`, `received_ns`, `wall_ns`, `local` of rows, and their steps if the feed has some."""
        payloads = read.payloads[rows]
        time = received[payloads] if self._received else read.columns[0].values[rows]
        columns = {
            "seq": seqs[payloads],
            "idx": read.indexes[rows].astype(np.uint32),
            "received_ns": received[payloads],
            "wall_ns": time,
            "local": np.full(len(rows), self._local, np.uint8),
        }
        return pl.DataFrame(columns | ({} if not self._stepped else self._steps(read, rows)))

    def _steps(self, read: RecordColumns, rows: NDArray[np.int64]) -> dict[str, pl.Series]:
        """How much later rows are than the first record of their payload."""
        steps: list[Any] = [self._step] * len(read.counts)
        if self._step is None:
            for row in np.flatnonzero(read.indexes == 0).tolist():
                steps[read.payloads[row]] = read.columns[1].values[row]
        column = step_columns(steps, read.payloads[rows], read.indexes[rows])
        return {column.name: column}

    def _has_time(self, read: RecordColumns) -> NDArray[np.bool_]:
        if self._received:
            return np.ones(len(read.good), np.bool_)
        stepped = self._stepped and self._step is None
        return read.columns[0].good & read.columns[1].good if stepped else read.columns[0].good

    def _frame(
        self,
        read: RecordColumns,
        rows: NDArray[np.int64],
        seqs: NDArray[np.uint64],
        received: NDArray[np.int64],
        identity: NDArray[np.uint32],
    ) -> pl.DataFrame:
        times = self._times(read, rows, seqs, received)
        columns: list[Any] = [
            times["seq"],
            times["idx"],
            pl.Series("received_ns", received[read.payloads[rows]]),
            pl.Series("identity", identity),
            times["wall_ns"],
            times["local"],
            *(times[name] for name in times.columns if name in (STEP_NS, STEP_COUNT)),
        ]
        for slot, column in zip(self._compiled.slots, read.columns, strict=True):
            if slot.column.startswith("a."):
                assert column.codes is not None
                columns.append(pl.Series(slot.column, column.values, dtype=pl.String)[column.codes[rows]])
            elif slot.column.startswith("f."):
                columns.append(_numbers(slot.column, column.values[rows]))
        return pl.DataFrame(columns)


def _marks(read: RecordColumns, rows: NDArray[np.int64], seqs: NDArray[np.uint64]) -> pl.DataFrame | None:
    """The marks of rows: those with an integer that is kept as the nearest double."""
    rounded = [column.rounded for column in read.columns if column.rounded is not None]
    marked = rows[np.any([flags[rows] for flags in rounded], axis=0)] if rounded else rows[:0]
    return marks_frame(seqs[read.payloads[marked]], read.indexes[marked], "not_exact")


def _unwrapped(body: bytes, format: str) -> bytes | None:
    try:
        return unwrap(body, format)
    except ValueError:
        return None


def _numbers(name: str, values: NDArray[np.float64]) -> pl.Series:
    series = pl.Series(name, values)
    return series if values.ndim == 1 else series.cast(pl.List(pl.Float64))


def _joined(parts: Sequence[memoryview]) -> Any:
    return parts[0] if len(parts) == 1 else b"".join(parts)
