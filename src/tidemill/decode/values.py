"""Decodes packed numbers (bytes as an array, as base64 or in hexadecimal), and applies scale and offset.

The functions on arrays are shared with binary records (`layout.py`); all return doubles.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tidemill.decode.plan import Column
from tidemill.feeds.packed import Packed

_WORDS: Final = {1: "one byte", 2: "two bytes", 4: "four bytes", 8: "eight bytes"}
_EXACT: Final = 2**53  # every integer up to here is a double


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
    certain = kind.size < 8 or not kind.integer or is_exact(numbers).all()
    return _placed(numbers, values, counts, column) if certain else None


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


def is_exact(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Boolean per number: whether a double can hold it exactly."""
    if numbers.dtype.kind == "f" or numbers.dtype.itemsize < 8 or not numbers.size:
        return np.ones(numbers.shape, np.bool_)
    sizes = np.abs(numbers).astype(np.uint64)  # -2^63 has no counterpart in int64; as uint64 it is right again
    if sizes.max() <= _EXACT:
        return np.ones(numbers.shape, np.bool_)
    lowest = np.maximum(sizes & (~sizes + np.uint64(1)), np.uint64(1))  # the value of the lowest bit that is set
    return np.asarray(sizes // lowest <= _EXACT)


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


def packed_bytes(value: list[int] | str, column: Column) -> bytes:
    """The bytes of one packed value, of at least one number. Raises ValueError with a sentence."""
    kind = column.packed
    assert kind is not None
    try:
        if not isinstance(value, str):
            body = bytes(value)
        elif column.encoding == "hex":
            body = binascii.unhexlify(value)
        else:
            body = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"must be {packed_text(column)}") from None
    if kind.array and (not body or len(body) % kind.size):
        raise ValueError(f"must be one or more numbers of {_WORDS[kind.size]} each, not {len(body)} bytes")
    if not kind.array and len(body) != kind.size:
        raise ValueError(f"must be {_WORDS[kind.size]}, not {len(body)}")
    return body


def unpack_numbers(body: bytes, kind: Packed) -> list[Any]:
    """The numbers of packed bytes as Python numbers: integers exactly, floats as doubles."""
    with np.errstate(invalid="ignore"):
        numbers = np.frombuffer(body, kind.code)
        return list((numbers if kind.integer else numbers.astype(np.float64)).tolist())


def packed_text(column: Column) -> str:
    """The type of a packed member, in words."""
    kind = column.packed
    assert kind is not None
    how_many = "" if kind.array else f"{kind.size} "
    integers = f"an array of {how_many}integer{'' if how_many == '1 ' else 's'} 0..255"
    written = {
        "auto": f"{integers}, or their base64",
        "array": integers,
        "base64": "as base64",
        "hex": "in hexadecimal",
    }[column.encoding]
    return f"{f'numbers of {_WORDS[kind.size]} each' if kind.array else _WORDS[kind.size]}: {written}"
