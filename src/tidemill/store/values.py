"""Converts values between Python and the store's formats: parameters, small results, and frames to insert."""

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
    """The parameters as the driver binds them: a Polars series becomes a list."""
    return {name: value.to_list() if isinstance(value, pl.Series) else value for name, value in values.items()}


def insertable(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with lists of {key, value} cast to maps, as the store needs them for a Map column."""
    maps = {
        name: pl.Map(fields["key"], fields["value"])
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.List)
        and isinstance(kind.inner, pl.Struct)
        and (fields := {field.name: field.dtype for field in kind.inner.fields}).keys() == _KEY_VALUE
    }
    return frame.cast(maps) if maps else frame  # type: ignore[arg-type]


def plain_rows(data: bytes) -> list[dict[str, Any]]:
    """The rows of a JSONCompact answer with ISO 8601 times: times become int ns, and floats stay floats."""
    table = _TABLE.decode(data)
    names = [column.name for column in table.meta]
    converters = [(index, to) for index, column in enumerate(table.meta) if (to := _converter(column.type))]
    for row in table.data:
        for index, to in converters:
            row[index] = to(row[index])
    return [dict(zip(names, row, strict=True)) for row in table.data]


def _converter(kind: str) -> Callable[[Any], Any] | None:
    """The function that converts a JSON value of this column type; null: the value needs no conversion."""
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
