"""The tables of a store as the packaged schema declares them, and rows for them.

`sql/schema/*.sql` is the only declaration of a column: frames to insert, the mill's frames of rollup windows and the
tests' writer are made from what is parsed here. A later file that adds a column (ALTER TABLE … ADD COLUMN, one in a
statement) is parsed as well. Only tables with the engine ReplacingMergeTree are parsed: all of ours.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.store.migrate import FOLDER

_TYPE: Final = r"\w+(?:\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?"
_DEFAULT: Final = r"(?: DEFAULT (\w+|'[^']*'))?"
_TABLE = re.compile(
    r"^CREATE TABLE (\w+) \((.*?)\n\) ENGINE = ReplacingMergeTree(?:\((\w+)\))?$.*?^ORDER BY \(?([^)\n]*)\)?$",
    re.DOTALL | re.MULTILINE,
)
_COLUMN = re.compile(rf"^ {{4}}(?!INDEX )(\w+) ({_TYPE}){_DEFAULT}", re.MULTILINE)
_ADDED = re.compile(
    rf"^ALTER TABLE (\w+)\s+ADD COLUMN (?:IF NOT EXISTS )?(\w+) ({_TYPE}){_DEFAULT}[^;]*?(?:AFTER (\w+))?;$",
    re.MULTILINE,
)
_TYPES: Final[dict[str, Any]] = {
    "String": pl.String,
    "Bool": pl.Boolean,
    "Float64": pl.Float64,
    "Int32": pl.Int32,
    "Int64": pl.Int64,
    "UInt8": pl.UInt8,
    "UInt16": pl.UInt16,
    "UInt32": pl.UInt32,
    "UInt64": pl.UInt64,
    "DateTime64(9, 'UTC')": pl.Datetime("ns", "UTC"),
    "FixedString(32)": pl.Binary,
}
_BYTES: Final = {("payloads", "body"), ("replay_plans", "content")}  # a String that holds bytes, not a text
_ZERO: Final[dict[Any, Any]] = {pl.String: "", pl.Boolean: False, pl.Binary: b"", pl.Float64: 0.0}


class StoreTable(msgspec.Struct, frozen=True, eq=False):
    """What the schema declares of a table. `columns`: the Polars type of each, in their order; a Map is a list of
    {key, value}. `defaults`: what the store takes for a column that an insert leaves out, unless it is nullable.
    `optional`: the columns that are nullable or declare a DEFAULT. `version` empty: the last row of a key stays."""

    name: str
    columns: Mapping[str, Any]
    defaults: Mapping[str, Any]
    optional: frozenset[str]
    key: tuple[str, ...]
    version: str

    def rows(self, frame: pl.DataFrame, **values: Any) -> pl.DataFrame:
        """A row of this table for each row of `frame`: all columns of the table, in its order and types.

        The value of a column is that of `values` (an expression of the frame's columns, a series, or a constant for all
        rows; a text is a constant), else the frame's column of that name, else, for an optional column, its default.
        Columns of the frame that the table does not have are left out. Nulls stay: the store refuses those of a column
        that takes none. Raises TypeError for a value of a column that the table does not have, or has no value for.
        """
        selection = _selection(self, tuple(zip(frame.columns, frame.dtypes, strict=True)), frozenset(values))
        return frame.select(
            _expression(name, self.columns[name], values[name]) if column is None else column
            for name, column in selection
        )

    def without_null_lists(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of this table without nulls in lists: a list column that has only nulls is left out, because the table's
        default says the same and 20,000 empty maps cost 0.5 ms to encode; other nulls become empty lists."""
        for name, kind in self.columns.items():
            nulls = rows[name].null_count() if isinstance(kind, pl.List) and name in rows.columns else 0
            if nulls and nulls == rows.height:
                rows = rows.drop(name)
            elif nulls:
                rows = rows.with_columns(pl.col(name).fill_null(pl.lit([], kind)))
        return rows


@lru_cache(maxsize=512)
def _selection(
    table: StoreTable, present: tuple[tuple[str, Any], ...], values: frozenset[str]
) -> tuple[tuple[str, pl.Expr | None], ...]:
    """Each column of a table with its expression for frames of these columns and types; null: one of `values`. Kept,
    because making the expressions takes longer than selecting a million rows by them. Raises TypeError as
    `StoreTable.rows`."""
    if unknown := values - table.columns.keys():
        raise TypeError(f"table {table.name} has no columns {sorted(unknown)}")
    types = dict(present)
    if missing := table.columns.keys() - values - types.keys() - table.optional:
        raise TypeError(f"rows of table {table.name} need values for {sorted(missing)}")

    def column(name: str, kind: Any) -> pl.Expr:
        if name not in types:
            return pl.lit(table.defaults.get(name), kind).alias(name)
        return pl.col(name) if types[name] == kind else pl.col(name).cast(kind)

    return tuple((name, None if name in values else column(name, kind)) for name, kind in table.columns.items())


def _expression(name: str, kind: Any, value: Any) -> pl.Expr:
    if isinstance(value, pl.Expr):
        return value.cast(kind).alias(name)
    if isinstance(value, str):
        return pl.lit(value).alias(name)
    return (pl.lit(value).cast(kind) if isinstance(value, pl.Series) else pl.lit(value, kind)).alias(name)


def table(name: str) -> StoreTable:
    """The table of this name. Raises KeyError."""
    return packaged_tables()[name]


@cache
def packaged_tables() -> Mapping[str, StoreTable]:
    """Every table of the packaged schema by its name. Parsed once."""
    return parse_tables("\n".join(path.read_text() for path in sorted(FOLDER.glob("*.sql"))))


def parse_tables(text: str) -> dict[str, StoreTable]:
    """The tables of a schema. Raises KeyError for a type that has no Polars type here, and for a column that is added
    to a table that the schema does not create; ValueError for one that is added after a column that is not there."""
    created = {name: (inside, tuple(key.split(", ")), version) for name, inside, version, key in _TABLE.findall(text)}
    columns = {name: _COLUMN.findall(inside) for name, (inside, *_) in created.items()}
    for name, column, kind, default, after in _ADDED.findall(text):
        names = [known for known, *_ in columns[name]]
        columns[name].insert(names.index(after) + 1 if after else len(names), (column, kind, default))
    return {name: _table(name, columns[name], key, version) for name, (_, key, version) in created.items()}


def _table(name: str, declared: list[tuple[str, str, str]], key: tuple[str, ...], version: str) -> StoreTable:
    columns = {column: pl.Binary if (name, column) in _BYTES else _polars_type(kind) for column, kind, _ in declared}
    nullable = {column for column, kind, _ in declared if kind.startswith(("Nullable(", "LowCardinality(Nullable("))}
    return StoreTable(
        name,
        columns,
        {
            column: _default(columns[column], default)
            for column, _, default in declared
            if column not in nullable or default
        },
        frozenset(nullable | {column for column, _, default in declared if default}),
        key,
        version,
    )


def _polars_type(kind: str) -> Any:
    if "(" not in kind or kind in _TYPES:
        return _TYPES[kind]
    outer, inner = kind.removesuffix(")").split("(", 1)
    if outer in ("Nullable", "LowCardinality"):
        return _polars_type(inner)
    if outer == "Array":
        return pl.List(_polars_type(inner))
    if outer == "Map":
        key, value = inner.rsplit(", ", 1)
        return pl.List(pl.Struct({"key": _polars_type(key), "value": _polars_type(value)}))
    raise KeyError(kind)


def _default(kind: Any, declared: str) -> Any:
    if declared:
        return declared.strip("'") if kind == pl.String else pl.Series([declared]).cast(kind).item()
    return [] if isinstance(kind, pl.List) else _ZERO.get(kind, 0)
