"""Writes tables (CSV, Arrow, Parquet) as JSON arrays of records, a column at a time, for feeds whose definition says
what their members are: the readers of JSON then judge them, and a fault of a table is what it is in JSON.

A column is a member of each record. A cell of CSV is a text, or a number, true or false where the feed reads one. A
line of CSV with another number of columns is a text instead of a record, which no feed takes.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.decode.open.regular_lines import MAX_NAME
from tidemill.decode.table_files import MAX_BYTES, TableError, csv_table, typed_table
from tidemill.feeds.definition import Feed
from tidemill.feeds.paths import parse_path

_NUMBER: Final = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$"
_ODD: Final = r'["\\\x00-\x1f]'
_ESCAPES: Final = {chr(code): f"\\u{code:04x}" for code in range(32)} | {'"': '\\"', "\\": "\\\\"}
_NUMBERS: Final = ("number", "boolean")


class TableForm(msgspec.Struct, frozen=True):
    """How a feed reads tables. `numbers`: the columns of CSV that hold numbers or truth values (None: all but `texts`);
    `separator`, `decimal`, `columns`: of CSV (`columns` empty: its first line has their names)."""

    numbers: frozenset[str] | None = frozenset()
    texts: frozenset[str] = frozenset()
    separator: str = ","
    decimal: str = "."
    columns: tuple[str, ...] = ()

    @classmethod
    def of_feed(cls, feed: Feed) -> "TableForm":
        """The form of a feed's tables."""
        fields = [field.path for field in feed.fields.values() if field.type in _NUMBERS]
        names = _first_keys(fields)
        registers, csv = feed.registers, feed.input.csv
        if registers is None:
            return cls(names, frozenset(), csv.separator, csv.decimal, csv.columns)
        if registers.value_path is not None:
            return cls(_first_keys([registers.value_path]), frozenset(), csv.separator, csv.decimal, csv.columns)
        return cls(None, frozenset(registers.except_keys), csv.separator, csv.decimal, csv.columns)

    def is_number(self, name: str) -> bool:
        """Whether the cells of a column of CSV are numbers or truth values."""
        return name not in self.texts if self.numbers is None else name in self.numbers


def _first_keys(paths: Iterable[str | None]) -> frozenset[str]:
    """The columns in which paths begin; `$`, the whole record, begins in none."""
    parts = [parse_path(path) for path in paths if path is not None]
    return frozenset(str(each[0]) for each in parts if each)


DEFAULT_FORM: Final = TableForm()


def table_json(name: str, body: bytes, form: TableForm) -> bytes:
    """A payload of a table's format as a JSON array of its rows. Raises ValueError with a sentence."""
    if name != "csv":
        return b"[" + b",".join(_lines(typed_table(body, name), lambda _: False, ".")) + b"]"
    csv = csv_table(body, form.separator, form.columns or None)
    lines = _lines(csv.table, form.is_number, form.decimal)
    if csv.ragged:
        rows = dict(zip(csv.rows.tolist(), lines, strict=True))
        rows |= {row: msgspec.json.encode(message) for row, message in csv.ragged}
        lines = [rows[row] for row in sorted(rows)]
    return b"[" + b",".join(lines) + b"]"


def _lines(table: pl.DataFrame, is_number: Callable[[str], bool], decimal: str) -> Sequence[bytes]:
    """The JSON object of each row."""
    if not table.width:
        return []
    names, texts = sum(len(name.encode()) + 4 for name in table.columns), pl.col(pl.String).str.len_bytes().sum()
    if any(len(name) > MAX_NAME for name in table.columns):
        raise TableError("too_long", f"the name of a column has more than {MAX_NAME} characters")
    if names * len(table) + sum(map(int, table.select(texts).row(0) if len(table) else ())) > MAX_BYTES:
        message = f"its rows as JSON have more than {MAX_BYTES} bytes, for each repeats the columns' names"
        raise TableError("too_long", f"{message}; send them in several bodies")
    parts: list[Any] = []
    for number, name in enumerate(table.columns):
        key = ("{" if number == 0 else ",") + msgspec.json.encode(name).decode() + ":"
        parts += [pl.lit(key), _cells(table[name], number=is_number(name), decimal=decimal)]
    rows = pl.select(pl.concat_str([*parts, pl.lit("}")]).alias("row"))["row"] if len(table) else pl.Series([""])[:0]
    return [row.encode() for row in rows.to_list()]


def _cells(column: pl.Series, *, number: bool, decimal: str) -> Any:
    """An expression for the JSON texts of a column."""
    name, kind = column.name, column.dtype
    cell = pl.lit(column)
    if isinstance(kind, pl.String | pl.Categorical | pl.Enum):
        text = cell.cast(pl.String)
        quoted = pl.concat_str([pl.lit('"'), _without_odd(column, text), pl.lit('"')])
        if number:
            plain = text.str.strip_chars(" ")
            plain = plain if decimal == "." else plain.str.replace(",", ".", literal=True)
            bare = plain.str.contains(_NUMBER) | plain.is_in(["true", "false"])
            quoted = pl.when(bare).then(plain).otherwise(quoted)
    elif isinstance(kind, pl.Datetime):
        zoned = cell if kind.time_zone is None else cell.dt.convert_time_zone("UTC")
        form = "%Y-%m-%dT%H:%M:%S%.9f" + ("" if kind.time_zone is None else "Z")
        quoted = pl.concat_str([pl.lit('"'), zoned.dt.strftime(form), pl.lit('"')])
    elif kind.is_float():
        quoted = pl.when(cell.is_finite()).then(cell.cast(pl.Float64).cast(pl.String)).otherwise(pl.lit("NaN"))
        quoted = pl.when(cell.is_null()).then(pl.lit(None)).otherwise(quoted)
    elif kind.is_integer() or kind == pl.Boolean:
        quoted = cell.cast(pl.String)
    elif isinstance(kind, pl.Date):
        quoted = pl.concat_str([pl.lit('"'), cell.dt.strftime("%Y-%m-%d"), pl.lit('"')])
    else:
        raise ValueError(f"the column '{name[:60]}' is of type {kind}, which no member of a record is")
    return quoted.fill_null("null")


def _without_odd(column: pl.Series, text: pl.Expr) -> pl.Expr:
    """Texts with what JSON escapes, escaped."""
    if not column.cast(pl.String).str.contains(_ODD).any():
        return text
    return text.str.replace_many(list(_ESCAPES), list(_ESCAPES.values()))
