"""Compiles the binary layout of a feed: NumPy structured types for a record and for the header, and a judge per column.

A judge decodes one column of all records at once and says of each record whether it is good. Faults are explained
afterwards, record by record, in the words of the strict JSON reader.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.exactness import is_exact
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.feed_columns import Column, field_column
from tidemill.decode.steps import of_number, of_rate
from tidemill.decode.strict_values import read_number, read_text
from tidemill.decode.times import UNIT_NS, number_ns, parse_numbers
from tidemill.decode.values import is_in_bounds, scale_numbers, taken_bits
from tidemill.feeds.definition import Attribute, Feed, Layout, Tag
from tidemill.feeds.packed import Packed, packed_type
from tidemill.feeds.steps import STEP_UNITS_NS
from tidemill.feeds.time_policy import TimePolicy
from tidemill.model.time import MAX_NS, MIN_NS

Explain = Callable[[int, str, FaultCollector], None]


class JudgedColumn(msgspec.Struct):
    """A decoded column: `values`, valid where `good` (of texts: `codes`, indexes in `values`), and `explain`, which
    adds the faults of a row with a path. `rounded`: where a value is not the integer that was sent and is flagged."""

    values: Any
    good: NDArray[np.bool_]
    explain: Explain
    codes: NDArray[np.int64] | None = None
    rounded: NDArray[np.bool_] | None = None

    def repeated(self, owners: NDArray[np.int64]) -> "JudgedColumn":
        """A header's column as a column of records: `owners` has the index of each record's header."""
        return JudgedColumn(
            self.values if self.codes is not None else self.values[owners],
            self.good[owners],
            lambda row, path, faults: self.explain(int(owners[row]), path, faults),
            None if self.codes is None else self.codes[owners],
            None if self.rounded is None else self.rounded[owners],
        )


class Slot(msgspec.Struct, frozen=True):
    """A column of a layout: its `name` in faults, its `column` in a batch, and the function that decodes it."""

    name: str
    column: str
    in_header: bool
    judge: Callable[[NDArray[Any]], JudgedColumn]


class CompiledLayout(msgspec.Struct, frozen=True):
    """A compiled layout. The NumPy types `record` and `header` have a member for each slot, named by its `column`."""

    slots: tuple[Slot, ...]
    record: Any
    header: Any


def compile_layout(feed: Feed, layout: Layout) -> CompiledLayout:
    """The layout of a feed that `load` returned."""
    slots: list[Slot] = []
    parts: dict[bool, list[tuple[str, Any, int]]] = {False: [], True: []}

    def add(name: str, column: str, member: Any, kind: Any, judge: Callable[[NDArray[Any]], JudgedColumn]) -> None:
        in_header = member.in_ == "header"
        slots.append(Slot(name, column, in_header, judge))
        parts[in_header].append((column, kind, member.at))

    if not feed.time.received:
        clock = packed_type(feed.time.type or "")
        assert clock is not None
        add("time", "time", feed.time, clock.code, _time_judge(feed.time))
    for name, at, kind_name in (
        ("step", feed.time.step_at, feed.time.step_type),
        ("rate", feed.time.rate_at, feed.time.rate_type),
    ):
        if at is not None:
            number = packed_type(kind_name or "")
            assert number is not None
            slots.append(Slot(name, name, True, _step_judge(feed.time)))
            parts[True].append((name, number.code, at))
    texts: list[tuple[str, Mapping[str, Tag | Attribute]]] = [("t", feed.tags), ("a", feed.attributes)]
    for letter, members in texts:
        for name, text in members.items():
            if isinstance(text, Tag) and text.value is not None:
                continue
            number = packed_type(text.type)
            kind: Any = number.code if number else ("u1", (text.length,))
            add(name, f"{letter}.{name}", text, kind, _text_judge(text, number))
    for name, field in feed.fields.items():
        column = field_column(name, field, feed.input.not_exact)
        assert column.packed is not None
        kind = (column.packed.code, (field.length,)) if column.packed.array else column.packed.code
        add(name, column.name, field, kind, _number_judge(column))
    record, header = _dtype(parts[False], layout.record_bytes), _dtype(parts[True], layout.header_bytes)
    return CompiledLayout(tuple(slots), record, header)


def _dtype(parts: Sequence[tuple[str, Any, int]], size: int) -> Any:
    names, kinds, places = ([part[n] for part in parts] for n in range(3))
    described: Any = {"names": names, "formats": kinds, "offsets": places, "itemsize": max(size, 1)}
    return np.dtype(described)


def _time_judge(time: TimePolicy) -> Callable[[NDArray[Any]], JudgedColumn]:
    unit_ns = UNIT_NS[time.formats[0]]
    first, last = -(-MIN_NS // unit_ns), MAX_NS // unit_ns

    def explain(value: Any, path: str, faults: FaultCollector) -> None:
        before = faults.count
        read_number(value, path, None, faults)
        if faults.count == before and not MIN_NS <= number_ns(value, unit_ns) <= MAX_NS:
            faults.add(path, "time_out_of_range", "the time is outside 1900-01-01 to 2262-04-11")

    def judge(raw: NDArray[Any]) -> JudgedColumn:
        if raw.dtype.kind == "f":
            finite = np.isfinite(raw)
            times = parse_numbers(np.where(finite, raw, 0.0).tolist(), unit_ns)
            ns, good = times.ns, times.ok & finite
        else:
            good = (raw >= first) & (raw <= last)
            ns = np.where(good, raw, 0).astype(np.int64) * unit_ns
        return JudgedColumn(ns, good, lambda row, path, faults: explain(raw[row].item(), path, faults))

    return judge


def _step_judge(time: TimePolicy) -> Callable[[NDArray[Any]], JudgedColumn]:
    """The judge of the steps, or rates, of headers: its values are exact steps in ns (`Fraction`)."""
    unit_ns = STEP_UNITS_NS[time.step_unit or "s"]
    read = of_rate if time.rate_at is not None else partial(of_number, unit_ns=unit_ns)

    def explain(number: Any, path: str, faults: FaultCollector) -> None:
        if read_number(number, path, None, faults) is not None and math.isfinite(number):
            try:
                read(number)
            except ValueError as error:
                faults.add(path, "out_of_range", str(error))

    def judge(raw: NDArray[Any]) -> JudgedColumn:
        steps = np.zeros(len(raw), object)
        good = np.zeros(len(raw), np.bool_)
        for row, number in enumerate(raw.tolist()):
            try:
                steps[row], good[row] = read(number), True
            except (ValueError, OverflowError):  # also NaN and infinities
                steps[row] = Fraction(1)
        return JudgedColumn(steps, good, lambda row, path, faults: explain(raw[row].item(), path, faults))

    return judge


def _number_judge(column: Column) -> Callable[[NDArray[Any]], JudgedColumn]:
    def judge(raw: NDArray[Any]) -> JudgedColumn:
        raw = taken_bits(raw, column)
        values = scale_numbers(raw, column)
        good, exact = is_in_bounds(values, column), is_exact(raw)
        if column.not_exact == "reject":
            good &= exact

        def explain(row: int, path: str, faults: FaultCollector) -> None:
            if raw.ndim == 1:
                read_number(raw[row].item(), path, column, faults)
                return
            for n, number in enumerate(raw[row].tolist()):
                read_number(number, f"{path}[{n}]", column, faults)

        if raw.ndim > 1:
            good, exact = np.asarray(good.all(axis=1)), np.asarray(exact.all(axis=1))
        return JudgedColumn(values, good, explain, rounded=None if column.not_exact != "flag" else ~exact)

    return judge


def _text_judge(member: Tag | Attribute, kind: Packed | None) -> Callable[[NDArray[Any]], JudgedColumn]:
    def read(value: Any, path: str, faults: FaultCollector) -> str | None:
        if kind is not None:
            return str(value)
        octets = bytes(value)
        if member.type == "hex":
            return octets.hex()
        try:
            text = octets.rstrip(b"\x00").decode()
        except UnicodeDecodeError as error:
            faults.add(path, "invalid_utf8", f"not UTF-8: {error.reason} at its byte {error.start}")
            return None
        return read_text(text, path, member.max_length, faults) if text or member.required else None

    def judge(raw: NDArray[Any]) -> JudgedColumn:
        codes, first = number_distinct(integer_columns(raw))
        values: list[str | None] = []
        good = np.ones(len(first), np.bool_)
        for number, row in enumerate(first.tolist()):
            faults = FaultCollector()
            values.append(read(raw[row].tolist(), "", faults))
            good[number] = faults.count == 0

        def explain(row: int, path: str, faults: FaultCollector) -> None:
            read(raw[row].tolist(), path, faults)

        return JudgedColumn(values, good[codes], explain, codes)

    return judge


def integer_columns(raw: NDArray[Any]) -> list[NDArray[Any]]:
    """Integer columns that are equal in exactly those rows where the column is."""
    if raw.ndim == 1:
        return [raw.astype(raw.dtype.newbyteorder("="))]
    padded = np.zeros((len(raw), -(-raw.shape[1] // 8) * 8), np.uint8)
    padded[:, : raw.shape[1]] = raw
    return list(np.ascontiguousarray(padded.view(np.uint64).T))


def number_distinct(columns: Sequence[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(a number for each row, equal where all `columns` are; the first row of each number). Numbers count from 0."""
    count = len(columns[0])
    if count <= 1:
        return np.zeros(count, np.int64), np.arange(count)
    frame = pl.DataFrame({str(n): column for n, column in enumerate(columns)})
    rows = frame.with_row_index("row").select(pl.col("row").first().over(frame.columns)).to_series().to_numpy()
    first = np.flatnonzero(rows == np.arange(count))
    numbers = np.zeros(count, np.int64)
    numbers[first] = np.arange(len(first))
    return numbers[rows], first
