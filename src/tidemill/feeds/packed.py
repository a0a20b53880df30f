"""Types of packed numbers: numbers as bytes, in members of JSON records and in binary records."""

from typing import Final

import msgspec

ENDINGS: Final = {"le": "<", "be": ">"}
# Type names -> how NumPy writes the type: int8, uint8, int16_le, int16_be, ..., float64_be.
NUMBER_TYPES: Final[dict[str, str]] = {"int8": "<i1", "uint8": "<u1"} | {
    f"{word}{bits}_{ending}": f"{mark}{letter}{bits // 8}"
    for word, letter, sizes in (("int", "i", (16, 32, 64)), ("uint", "u", (16, 32, 64)), ("float", "f", (32, 64)))
    for bits in sizes
    for ending, mark in ENDINGS.items()
}
ARRAY: Final = "[]"  # behind a type: an array of such numbers


class Packed(msgspec.Struct, frozen=True):
    """A type of packed numbers: `code` is NumPy's name of the type, `size` the bytes of a number; `array`: several."""

    code: str
    size: int
    array: bool

    @property
    def integer(self) -> bool:
        """Whether the numbers are integers."""
        return self.code[1] != "f"


def packed_type(text: str) -> Packed | None:
    """The packed type of a name such as `int16_be` or `int16_be[]`; None for a name that is no packed type."""
    code = NUMBER_TYPES.get(text.removesuffix(ARRAY))
    return None if code is None else Packed(code, int(code[2:]), text.endswith(ARRAY))
