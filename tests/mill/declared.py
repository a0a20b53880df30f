"""The tables as the schema declares them: columns with their types and defaults, keys, versions; and what an insert
makes of a table, by these."""

import re
from functools import cache
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.store import migrate

_TABLE = re.compile(
    r"CREATE TABLE (\w+) \((.*?)\n\) ENGINE = ReplacingMergeTree(?:\((\w+)\))?\s+ORDER BY \(([^)]*)\)", re.DOTALL
)
_COLUMN = re.compile(r"^ {4}(?!INDEX)(\w+) (\w+(?:\((?:[^()]|\([^()]*\))*\))?)", re.MULTILINE)
_TYPES: Final[dict[str, Any]] = {
    "String": pl.String,
    "Bool": pl.Boolean,
    "Float64": pl.Float64,
    "Int64": pl.Int64,
    "UInt8": pl.UInt8,
    "UInt16": pl.UInt16,
    "UInt32": pl.UInt32,
    "UInt64": pl.UInt64,
    "DateTime64(9, 'UTC')": pl.Datetime("ns", "UTC"),
    "FixedString(32)": pl.Binary,
}
_ZERO: Final[dict[Any, Any]] = {pl.String: "", pl.Boolean: False, pl.Binary: b"", pl.Float64: 0.0}


_COLUMNS: dict[Any, list[pl.Expr]] = {}  # by what is given: what makes a table's rows of it


class Table(msgspec.Struct, frozen=True):
    """What the schema declares of a table. `defaults`: of columns that take no null. `version` empty: the last row of a
    key stays."""

    columns: dict[str, Any]
    defaults: dict[str, Any]
    key: tuple[str, ...]
    version: str

    def folded(self, held: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """What a table holds after an insert: of rows with one key the one with the highest version, of equal ones the
        last."""
        unknown = set(rows.columns) - set(self.columns)
        assert not unknown, f"the schema has no columns {unknown}"
        given = tuple(rows.schema.items())
        if given not in _COLUMNS:
            _COLUMNS[given] = [self._column(rows.schema, name, kind) for name, kind in self.columns.items()]
        both = pl.concat([held, rows.select(_COLUMNS[given])])
        ordered = both.sort(self.version, maintain_order=True) if self.version else both
        return ordered.unique(self.key, keep="last", maintain_order=True)

    def _column(self, given: pl.Schema, name: str, kind: Any) -> pl.Expr:
        default = pl.lit(self.defaults.get(name), kind)
        if name not in given:
            return default.alias(name)
        column = pl.col(name) if given[name] == kind else pl.col(name).cast(kind)
        return column.fill_null(default) if name in self.defaults else column


@cache
def declared() -> dict[str, Table]:
    """Every table of the schema."""
    text = "\n".join(path.read_text() for path in sorted(migrate.FOLDER.glob("*.sql")))
    return {
        name: _table(dict(_COLUMN.findall(columns)), tuple(key.split(", ")), version)
        for name, columns, version, key in _TABLE.findall(text)
    }


@cache
def nothing() -> dict[str, pl.DataFrame]:
    """Every table without rows."""
    return {name: pl.DataFrame(schema=table.columns) for name, table in declared().items()}


def _table(types: dict[str, str], key: tuple[str, ...], version: str) -> Table:
    if "body" in types:
        types["body"] = "FixedString(32)"  # bytes, which a String of the engine may hold
    columns = {name: _type(kind) for name, kind in types.items()}
    takes_none = [name for name, kind in types.items() if not kind.startswith("Nullable(")]
    return Table(columns, {name: _zero(columns[name]) for name in takes_none}, key, version)


def _type(kind: str) -> Any:
    if kind in _TYPES:
        return _TYPES[kind]
    outer, inner = kind.split("(", 1)
    inner = inner.removesuffix(")")
    if outer in ("Nullable", "LowCardinality"):
        return _type(inner)
    if outer == "Array":
        return pl.List(_type(inner))
    assert outer == "Map", f"a type that the model does not know: {kind}"
    first, second = inner.rsplit(", ", 1)
    return pl.List(pl.Struct({"key": _type(first), "value": _type(second)}))


def _zero(kind: Any) -> Any:
    if isinstance(kind, pl.List):
        return []
    return _ZERO.get(kind, 0)
