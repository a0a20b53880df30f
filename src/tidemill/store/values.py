"""Carries values between Python and the store's formats: parameters out, small results in, frames in Arrow."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import polars as pl

from tidemill.model.time import parse_wall

_KEY_VALUE = {"key", "value"}


class _Column(msgspec.Struct):
    name: str
    type: str


class _Table(msgspec.Struct):
    meta: list[_Column]
    data: list[list[Any]]


_TABLE = msgspec.json.Decoder(_Table)


def bindable(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the driver binds them: a series becomes a list."""
    return {name: value.to_list() if isinstance(value, pl.Series) else value for name, value in values.items()}


def insertable(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with lists of {key, value} as maps, which is how the store takes a Map column."""
    maps = {
        name: pl.Map(fields["key"], fields["value"])
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.List)
        and isinstance(kind.inner, pl.Struct)
        and (fields := {field.name: field.dtype for field in kind.inner.fields}).keys() == _KEY_VALUE
    }
    return frame.cast(maps) if maps else frame  # type: ignore[arg-type]


def plain_rows(data: bytes) -> list[dict[str, Any]]:
    """Rows of a JSONCompact answer whose times are ISO 8601; they become int ns, and floats stay floats."""
    table = _TABLE.decode(data)
    names = [column.name for column in table.meta]
    times = [(place, to) for place, column in enumerate(table.meta) if (to := _converter(column.type))]
    for row in table.data:
        for place, to in times:
            row[place] = to(row[place])
    return [dict(zip(names, row, strict=True)) for row in table.data]


def _converter(kind: str) -> Callable[[Any], Any] | None:
    """What turns a JSON value of this type into ours; null: it is as it should be."""
    for wrapper in ("Nullable(", "LowCardinality("):
        if kind.startswith(wrapper):
            return _converter(kind[len(wrapper) : -1])
    if kind.startswith("Array("):
        inner = _converter(kind[6:-1])
        return (lambda items: [inner(item) for item in items]) if inner else None
    if kind.startswith("DateTime"):
        return lambda text: None if text is None else parse_wall(text)[0]
    if kind.startswith("Float"):
        # JSON writes 5.2e16 as an integer, whose digits are not the float's value.
        return lambda number: None if number is None else float(number)
    return None
