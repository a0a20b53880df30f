"""Values that need more than JSON: four little-endian bytes as a float32, as an array or as base64."""

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidemill.decode.plan import Column


def float32_column(values: Sequence[Any], column: Column) -> list[float | None] | None:
    """Each four bytes (list of 4 ints 0..255, or base64) as float64; None for None. The whole is None if any value is
    not four bytes, not finite, or outside the column's range."""
    floats: list[float | None]
    if values and all(type(value) is list for value in values):
        with np.errstate(invalid="ignore"):  # widening a signalling NaN; it is refused below
            floats = list(np.array(values, np.uint8).reshape(-1).view("<f4").astype(np.float64).tolist())
    else:
        try:
            floats = [None if value is None else float32(value) for value in values]
        except ValueError:
            return None
    low = -math.inf if column.min is None else column.min
    high = math.inf if column.max is None else column.max
    good = all(value is None or (math.isfinite(value) and low <= value <= high) for value in floats)
    return floats if good else None


def float32(value: list[int] | str) -> float:
    """Four bytes as a float32, widened; may be NaN or infinite. Raises ValueError unless there are exactly four."""
    try:
        octets = base64.b64decode(value, validate=True) if isinstance(value, str) else bytes(value)
    except (binascii.Error, ValueError):
        raise ValueError("must be four bytes: an array of 4 integers 0..255, or their base64") from None
    if len(octets) != 4:
        raise ValueError(f"must be four bytes, not {len(octets)}")
    number: float = struct.unpack("<f", octets)[0]
    return number
