"""Decodes packed numbers (bytes as an array, as base64 or in hexadecimal), and applies scale and offset.

The functions on arrays are shared with binary records (`layout.py`); all return doubles.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tidemill.decode.exactness import is_exact
from tidemill.decode.feed_columns import Column

_WHITE: Final = dict.fromkeys(map(ord, " \t\r\n"))
_WORDS: Final = {1: "one byte", 2: "two bytes", 4: "four bytes", 8: "eight bytes"}


def packed_column(values: Sequence[Any], column: Column) -> list[Any] | None:
    """The numbers of a column of packed values (floats, or lists of them; None for None). None instead of the list if
    any value is not such bytes or does not fit the column."""
    kind = column.packed
    assert kind is not None
    present = [value for value in values if value is not None]
    try:
        if all(type(value) is list for value in present):
            parts = list(map(bytes, present))
        else:
            parts = [packed_bytes(value, column) for value in present]
    except ValueError:
        return None
    counts = [len(part) // kind.size for part in parts] if kind.array else []
    joined = b"".join(parts)
    if kind.array and any(len(part) % kind.size for part in parts):
        return None
    numbers = np.frombuffer(joined, kind.code)
    return _placed(taken_bits(numbers, column), values, counts, column) if is_certain(numbers, column) else None


def scaled_column(values: Sequence[Any], column: Column) -> list[Any] | None:
    """The numbers (or lists of numbers) of a column times its scale plus its offset. None if any does not fit the
    column."""
    present = [value for value in values if value is not None]
    if column.kind == "number":
        return _placed(np.array(present, np.float64), values, [], column)
    flat = np.array([number for value in present for number in value], np.float64)
    return _placed(flat, values, [len(value) for value in present], column)


def _placed(numbers: NDArray[Any], values: Sequence[Any], counts: list[int], column: Column) -> list[Any] | None:
    """The numbers scaled, checked and arranged like `values`, whose present elements they are; None if any does not
    fit."""
    flat = scale_numbers(numbers, column)
    if not is_in_bounds(flat, column).all():
        return None
    results: list[Any] = flat.tolist()
    if column.kind in ("numbers", "packed_list"):
        ends = np.cumsum(counts).tolist()
        results = [results[end - count : end] for end, count in zip(ends, counts, strict=True)]
    if len(results) == len(values):
        return results
    rest = iter(results)
    return [None if value is None else next(rest) for value in values]


def is_certain(numbers: NDArray[Any], column: Column) -> bool:
    """Whether packed numbers become doubles without a word about their digits."""
    kind = column.packed
    assert kind is not None
    if kind.size < 8 or not kind.integer or column.not_exact == "round":
        return True
    return bool(is_exact(taken_bits(numbers, column)).all())


def taken_bits(numbers: NDArray[Any], column: Column) -> NDArray[Any]:
    """The bits of packed integers that the column takes, as integers."""
    if column.bits is None:
        return numbers
    low, count = column.bits
    native = numbers.astype(numbers.dtype.newbyteorder("="))
    return np.asarray((native >> native.dtype.type(low)) & native.dtype.type((1 << count) - 1))


def scale_numbers(numbers: NDArray[Any], column: Column) -> NDArray[np.float64]:
    """Numbers as doubles, times the column's scale plus its offset; may be NaN or infinite."""
    with np.errstate(invalid="ignore", over="ignore"):  # a signalling NaN, a product too large: not in bounds
        wide = numbers.astype(np.float64)
        return wide * column.scale + column.offset if column.scaled else wide


def is_in_bounds(numbers: NDArray[np.float64], column: Column) -> NDArray[np.bool_]:
    """Boolean per value: whether it is finite and within the column's bounds."""
    good = np.isfinite(numbers)
    if column.min is not None:
        good &= numbers >= column.min
    if column.max is not None:
        good &= numbers <= column.max
    return good


def plain_bytes(value: list[int] | str, column: Column) -> bytes:
    """The bytes that a member holds, as the column's encoding says. Raises ValueError with a sentence."""
    try:
        if not isinstance(value, str):
            return bytes(value)
        text = value.translate(_WHITE)
        return binascii.unhexlify(text) if column.encoding == "hex" else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"must be {packed_text(column)}") from None


def bytes_column(values: Sequence[Any], column: Column) -> list[Any] | None:
    """The bytes of each member of a column (None for None); None instead of the list if any is not such bytes."""
    try:
        return [None if value is None else plain_bytes(value, column) for value in values]
    except ValueError:
        return None


def packed_bytes(value: list[int] | str, column: Column) -> bytes:
    """The bytes of one packed value, of at least one number. Raises ValueError with a sentence."""
    kind = column.packed
    assert kind is not None
    body = plain_bytes(value, column)
    if kind.array and (not body or len(body) % kind.size):
        raise ValueError(f"must be one or more numbers of {_WORDS[kind.size]} each, not {len(body)} bytes")
    if not kind.array and len(body) != kind.size:
        raise ValueError(f"must be {_WORDS[kind.size]}, not {len(body)}")
    return body


def unpack_numbers(body: bytes, column: Column) -> list[Any]:
    """The numbers of packed bytes as Python numbers: integers exactly, floats as doubles."""
    kind = column.packed
    assert kind is not None
    with np.errstate(invalid="ignore"):
        numbers = taken_bits(np.frombuffer(body, kind.code), column)
        return list((numbers if kind.integer else numbers.astype(np.float64)).tolist())


def packed_text(column: Column) -> str:
    """The type of a packed member, or of one of bytes, in words."""
    kind = column.packed
    how_many = "" if kind is None or kind.array else f"{kind.size} "
    integers = f"an array of {how_many}integer{'' if how_many == '1 ' else 's'} 0..255"
    written = {
        "auto": f"{integers}, or their base64",
        "array": integers,
        "base64": "as base64",
        "hex": "in hexadecimal",
    }[column.encoding]
    if kind is None:
        return f"bytes: {written}"
    return f"{f'numbers of {_WORDS[kind.size]} each' if kind.array else _WORDS[kind.size]}: {written}"
