"""Makes records of the rows of a table: a column is the time, the name, a tag or a field."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.open.ndjson import name_fault, record_tags
from tidemill.decode.open.options import OpenOptions
from tidemill.decode.open.records import NAME, NO_TIME, Chunk, FieldColumn, OpenPayload, Tags
from tidemill.decode.open.regular_lines import MAX_TAGS
from tidemill.decode.times import parse_texts
from tidemill.model.time import MAX_NS, MIN_NS

NAME_COLUMN: Final = "name"
_EXACT: Final = float(1 << 53)
_UNITS_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000}


class JudgedRows:
    """The rows of a table while they are judged: `bad` are at fault, and said so."""

    def __init__(self, numbers: NDArray[np.int64], payload: OpenPayload, first_line: int, word: str) -> None:
        self.numbers, self.bad = numbers, np.zeros(len(numbers), np.bool_)
        self._payload, self._first, self._word = payload, first_line, word

    def reject(self, rows: NDArray[np.bool_], code: str, message: str) -> None:
        """JudgedRows are at fault, unless they are already."""
        for row in np.flatnonzero(rows & ~self.bad).tolist():
            number = int(self.numbers[row])
            self._payload.reject(number, f"{self._word} {number + self._first}", code, message)
        self.bad |= rows


def read_rows(
    frame: pl.DataFrame,
    numbers: NDArray[np.int64],
    options: OpenOptions,
    payload: OpenPayload,
    *,
    first_line: int,
    typed: bool,
) -> None:
    """Read a table; `numbers` are the indexes of its rows, `typed`: its columns have types (else all are texts)."""
    tags = _tag_columns(frame, options, typed=typed)
    fault = _fault_of_columns(frame, options, tags, typed=typed)
    if fault is not None:
        payload.refuse(*fault)
        return
    payload.count += len(frame)
    rows = JudgedRows(numbers, payload, first_line, "row" if typed else "line")
    times = np.full(len(frame), NO_TIME)
    if options.time:
        times = _times(frame[options.time], options.unit_ns, rows)
    names = [NAME_COLUMN] if NAME_COLUMN in frame.columns and not options.name else []
    codes, sets = _identities(frame.select(*names, *tags), names, options.name, rows)
    fields, rounded = [], np.zeros(len(frame), np.bool_)
    for name in frame.columns:
        if name not in (options.time, *names, *tags):
            column, inexact = _field(frame[name], options.decimal, rows)
            fields.append(column)
            rounded |= inexact
    valid = [column.valid for column in fields if column.valid is not None]
    if len(valid) == len(fields):
        empty = ~np.logical_or.reduce(valid) if valid else np.ones(len(frame), np.bool_)
        rows.reject(empty, "missing", "it has no number: every field is empty, so that it makes no point")
    good = np.flatnonzero(~rows.bad)
    kept = [FieldColumn(c.name, c.values[good], None if c.valid is None else c.valid[good]) for c in fields]
    marked = np.flatnonzero(rounded[good])
    payload.add_chunk(Chunk(numbers[good], codes[good], sets, times[good], kept, marked if len(marked) else None))


def _tag_columns(frame: pl.DataFrame, options: OpenOptions, *, typed: bool) -> tuple[str, ...]:
    if options.tags or not typed:
        return options.tag_columns
    texts = [name for name, kind in frame.schema.items() if _is_text(kind)]
    return tuple(name for name in texts if name not in (options.time, "" if options.name else NAME_COLUMN))


def _is_text(kind: Any) -> bool:
    return isinstance(kind, pl.String | pl.Categorical | pl.Enum)


def _fault_of_columns(
    frame: pl.DataFrame, options: OpenOptions, tags: Sequence[str], *, typed: bool
) -> tuple[str, str] | None:
    """(code, sentence) of what is wrong with the columns of a table, or None."""
    known = ", ".join(frame.columns[:20])[:200]
    if options.time and options.time not in frame.columns:
        hint = "name it with the parameter time (empty: records take the time of receipt)"
        return "missing", f"the column of times '{options.time[:60]}' is missing; {hint}; there are {known}"
    if missing := [name for name in tags if name not in frame.columns]:
        return "missing", f"the column of tags '{missing[0][:60]}' is missing; there are {known}"
    named = () if options.name or NAME_COLUMN not in frame.columns else (NAME_COLUMN,)
    if len({*named, *tags}) < len(named) + len(tags):
        return "conflict", f"a column of tags is named twice, or is '{NAME_COLUMN}', which has the records' names"
    if len(tags) > MAX_TAGS:
        return "too_many_members", f"there are {len(tags)} columns of tags, at most {MAX_TAGS} are taken"
    if NAME in tags:
        return "conflict", f"the tag {NAME} is the record's name: put it into the column '{NAME_COLUMN}'"
    special = {options.time, *tags, *(() if options.name else (NAME_COLUMN,))}
    for name in frame.columns:
        if fault := name_fault(name):
            return fault[0], f"{fault[1]}: the column '{name[:60]}'"
        if typed and name not in special and not (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean):
            hint = "a field is a number; name the columns of tags with the parameter tags"
            return "wrong_type", f"the column '{name[:60]}' is of type {frame[name].dtype}: {hint}"
    if not set(frame.columns) - special:
        return "missing", f"no column is a field: there are {known}, all of them times, names or tags"
    return None


def _times(column: pl.Series, unit_ns: int, rows: JudgedRows) -> NDArray[np.int64]:
    """The instants of a column, 0 where a row is at fault."""
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        every = np.ones(len(column), np.bool_)
        if kind.time_zone is None:
            message = (
                "its time has no zone; make the column a timestamp of UTC, or a number with the parameter precision"
            )
            rows.reject(every, "time_no_offset", message)
            return np.zeros(len(column), np.int64)
        return _scaled(column.to_physical(), _UNITS_NS[kind.time_unit], rows)
    if kind.is_integer():
        return _scaled(column.cast(pl.Int64, strict=False), unit_ns, rows)
    if kind.is_float():
        rounded = (column * unit_ns).round()
        return _scaled(rounded.cast(pl.Int64, strict=False), 1, rows)
    if not _is_text(kind):
        rows.reject(np.ones(len(column), np.bool_), "time_invalid", f"a time is no {kind}")
        return np.zeros(len(column), np.int64)
    texts = column.cast(pl.String)
    numbers = texts.cast(pl.Int64, strict=False)
    written = np.flatnonzero((numbers.is_null() & texts.is_not_null()).to_numpy())
    if not len(written):
        return _scaled(numbers, unit_ns, rows)
    times = np.zeros(len(column), np.int64)
    plain = numbers.is_not_null().to_numpy()
    if plain.any():
        times[plain] = _scaled(numbers.filter(numbers.is_not_null()), unit_ns, rows, np.flatnonzero(plain))
    read = parse_texts(texts[written].to_list())
    wrong = np.zeros(len(column), np.bool_)
    wrong[written] = ~read.ok | (read.local != 0)
    rows.reject(wrong, "time_invalid", "its time is no RFC 3339 text with an offset, and no number")
    rows.reject(texts.is_null().to_numpy(), "missing", "its time is missing")
    times[written] = np.where(read.ok, read.ns, 0)
    return times


def _scaled(
    numbers: pl.Series, unit_ns: int, rows: JudgedRows, at: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Numbers as ns since the epoch, 0 where a row is at fault; `at`: the rows that they are of (None: all)."""
    low, high = -(-MIN_NS // unit_ns), MAX_NS // unit_ns
    inside = numbers.is_between(low, high)
    missing = np.zeros(len(rows.bad), np.bool_)
    outside = missing.copy()
    owners = np.arange(len(numbers)) if at is None else at
    missing[owners[numbers.is_null().to_numpy()]] = True
    outside[owners[(~inside.fill_null(True)).to_numpy()]] = True
    rows.reject(missing, "missing", "its time is missing")
    rows.reject(outside, "time_out_of_range", "its time is outside 1900-01-01 to 2262-04-11")
    kept = numbers.set(~inside.fill_null(False), 0)
    scaled: NDArray[np.int64] = kept.to_numpy() * unit_ns
    return scaled


def _identities(
    frame: pl.DataFrame, names: Sequence[str], name: str, rows: JudgedRows
) -> tuple[NDArray[np.int64], list[Tags]]:
    """(identity of each row, the tags of each identity). An empty text is no tag."""
    if not frame.width:
        return np.zeros(len(rows.bad), np.int64), [record_tags(name, {})]
    texts = frame.select(pl.all().cast(pl.String).replace("", None))
    columns = texts.columns
    number_of = "#" * (1 + max(map(len, columns)))  # longer than any name, so none of them
    distinct = texts.unique(maintain_order=True).with_row_index(number_of)
    codes = texts.join(distinct, on=columns, how="left", nulls_equal=True, maintain_order="left")[number_of]
    sets, wrong = [], np.zeros(len(distinct), np.bool_)
    message = ("empty", "")
    for number, values in enumerate(distinct.drop(number_of).iter_rows()):
        pairs = {key: value for key, value in zip(columns, values, strict=True) if value is not None}
        own = pairs.pop(NAME_COLUMN, "") if names else name
        for fault in filter(None, (name_fault(text) for text in (*filter(None, (own,)), *pairs.values()))):
            message, wrong[number] = fault, True
        sets.append(record_tags(own, pairs))
    identity = codes.to_numpy().astype(np.int64)
    if wrong.any():
        rows.reject(wrong[identity], *message)
    return identity, sets


def _field(column: pl.Series, decimal: str, rows: JudgedRows) -> tuple[FieldColumn, NDArray[np.bool_]]:
    """The numbers of a column, and which are rounded."""
    exact = column
    if column.dtype == pl.String:
        texts = column.str.strip_chars(" ")
        texts = texts if decimal == "." else texts.str.replace(",", ".", literal=True)
        truth = texts.str.to_lowercase().replace_strict({"true": "1", "false": "0"}, default=texts)
        numbers = truth.cast(pl.Float64, strict=False)
        wrong = (numbers.is_null() & texts.is_not_null() & (texts != "")).fill_null(False)
        message = f"the field '{column.name[:60]}' is no number; name the columns of tags with the parameter tags"
        rows.reject(wrong.to_numpy(), "not_a_number", message)
        exact = truth
    else:
        numbers = column.cast(pl.Float64, strict=False)
    infinite = (~numbers.is_finite()).fill_null(False)
    rows.reject(infinite.to_numpy(), "not_finite", f"the field '{column.name[:60]}' is not finite; a gap is null")
    valid = numbers.is_not_null()
    values = numbers.fill_null(0.0).to_numpy()
    rounded = np.zeros(len(values), np.bool_)
    large = np.flatnonzero((np.abs(values) >= _EXACT) & np.isfinite(values) & valid.to_numpy())
    if len(large) and not exact.dtype.is_float():
        for row in large.tolist():
            written = str(exact[row])
            rounded[row] = written.lstrip("+-").isdigit() and int(written) != int(values[row])
    return FieldColumn(column.name, values, None if valid.all() else valid.to_numpy()), rounded
