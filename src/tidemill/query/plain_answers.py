"""Turns results of analyses into plain data for JSON, and encodes answers.

Members named `..._ns` become texts without that ending (`from_ns`: `from`); arrays become lists; NaN becomes null.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.steps import offsets_ns
from tidemill.model.time import format_instant

_ENDING: Final = "_ns"
_MINUTE_NS: Final = 60_000_000_000
_encoder: Final = msgspec.json.Encoder(enc_hook=lambda number: number.item())  # NumPy's scalars


def encode_answer(head: dict[str, Any], answer: dict[str, Any]) -> bytes:
    """The JSON of an answer: the members of `head`, then those of `answer`."""
    return _encoder.encode(head | answer)


def plain(value: Any, tz: str | None = None) -> Any:
    """A struct (as a dict), an array (as a list) or any value of them as plain data; times on the clock of `tz`."""
    if isinstance(value, msgspec.Struct):
        return dict(_member(name, member, tz) for name, member in msgspec.structs.asdict(value).items())
    if isinstance(value, dict):
        return {name: plain(member, tz) for name, member in value.items()}
    if isinstance(value, np.ndarray):
        return _numbers(value)
    if isinstance(value, list | tuple):
        return [plain(member, tz) for member in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _member(name: str, value: Any, tz: str | None) -> tuple[str, Any]:
    if not name.endswith(_ENDING):
        return name, plain(value, tz)
    named = name.removesuffix(_ENDING)
    if value is None:
        return named, None
    if isinstance(value, int):
        return named, instants([value], tz)[0]
    return named, instants(value, tz)


def instants(times_ns: Sequence[int] | NDArray[np.int64], tz: str | None = None) -> list[str]:
    """RFC 3339 texts of ns since the epoch: UTC with `Z`, or with the offset of a zone at each of them."""
    times = np.asarray(times_ns, dtype=np.int64)
    if tz is None:
        return [format_instant(ns) for ns in times.tolist()]
    offsets = offsets_ns(times, tz) // _MINUTE_NS * _MINUTE_NS  # before 1900 clocks differed by seconds, too
    walls = (times + offsets).tolist()
    return [
        format_instant(wall)[:-1] + _offset_text(shift) for wall, shift in zip(walls, offsets.tolist(), strict=True)
    ]


def _offset_text(shift_ns: int) -> str:
    hours, minutes = divmod(abs(shift_ns) // _MINUTE_NS, 60)
    return f"{'-' if shift_ns < 0 else '+'}{hours:02d}:{minutes:02d}"


def _numbers(array: NDArray[Any]) -> list[Any]:
    numbers: list[Any] = array.tolist()
    if array.dtype.kind == "f" and np.isnan(array).any():
        return [None if math.isnan(number) else number for number in numbers]
    return numbers
