"""The members of a record: tags, attributes and fields, where each is and what it holds.

In JSON (and in records that a plug-in decodes) a member has a `path`. In a binary record a member begins `at` a byte,
counted from 0, `in` the record itself or in the header; a member of the header applies to each record of the payload.
"""

from typing import Literal

import msgspec

from tidemill.feeds.convert import Table
from tidemill.feeds.packed import Packed, packed_type
from tidemill.model.units import conversion

Part = Literal["record", "header"]


class RecordMember(Table, frozen=True):
    """Where a member is: at a `path` of a JSON record, or `at` a byte of a binary one."""

    path: str | None = None
    at: int | None = None
    in_: Part = msgspec.field(default="record", name="in")


class Tag(RecordMember, frozen=True):
    """A text that is part of a series' identity.

    A tag with a `value` is in no record: it is a fixed text (`value = "north"`), or has `{name}` of the source's
    request: an item of `each`, `{start}` and `{stop}` of a window, `{cursor}` of a page. This distinguishes answers
    whose records do not say which item they are of. A payload that was not fetched with such a request has no such tag,
    and is refused if the tag is `required`.

    In JSON its `type` is `text`, or `integer`: an integer counts as its decimal digits, and a text as it is, so that 7
    and `"7"` are the same.

    In a binary record (`at`) its `type` is `text` (UTF-8 of `length` bytes, filled up with NUL; all NUL is no text),
    `hex` (`length` bytes as hexadecimal digits, lower case) or an integer type of fields (its decimal digits)."""

    required: bool = True
    max_length: int = 256
    type: str = "text"
    length: int | None = None
    value: str | None = None


class Attribute(RecordMember, frozen=True):
    """A text that is stored with every point of a record and is no part of a series' identity: the current point of an
    instant has its own (a meter reading that is "estimated" is superseded by one that is "measured"). Its types are
    those of a tag."""

    required: bool = False
    max_length: int = 256
    type: str = "text"
    length: int | None = None


class Field(RecordMember, frozen=True):
    """A measured value.

    `number`: a finite JSON number. `numbers`: an array of them, at least one (for `summary`). `text_number`: a number,
    or a text with one (`"317.3988"`), with white space around it or not. `decimal` is the decimal sign of such texts,
    `thousands` the sign between groups of three digits (a blank, `.`, `,`, `'` or `_`; a blank stands for every kind of
    space), so that `"1 234,5"` needs `decimal = ","` and `thousands = " "`. With `unit_in_text` a unit may stand behind
    the number (`"23.5 °C"`, `"12.5kWh"`): the value is converted from it to `unit`. A text that is no number is a
    fault, `not_a_number`, which shows the text. `boolean`: true is 1 and false is 0, and so are the numbers 1 and 0 and
    the texts of `true_texts` and `false_texts` (`"on"`, `"off"`), in upper or lower case. `null_texts` (`"-"`,
    `"unavailable"`) stand for null in both types.

    Packed numbers, which are bytes: `int8`, `uint8`, and with `_le` or `_be` for the order of bytes (little or big end
    first) `int16`, `uint16`, `int32`, `uint32`, `int64`, `uint64`, `float32`, `float64`. `[]` behind a packed type
    (`int16_be[]`) makes it an array of such numbers, used like `numbers`; in a binary record `length` says of how many.
    `bits = [4, 2]` takes two bits of an unsigned integer, from bit 4 on, counted from the lowest, which is 0.

    In JSON the bytes are written as `encoding` says: `array` (integers 0..255), `base64`, `hex`, or `auto` (array or
    base64); white space is passed over. With `at` the number begins at that byte of the member, counted from 0, and
    other fields may take other bytes of it: they name the same `path` and `encoding`. Fewer bytes than that are a
    fault, `wrong_size`.

    The value is the number as sent, with the power of ten at `exponent_path` and the factor at `scale_path`, if the
    record says them, times `scale` plus `offset`, in double precision; and then converted to `unit` from the unit that
    the text or the member at `unit_path` names, else from `from_unit` (`from_unit = "degF"`, `unit = "degC"`). A record
    that names no unit, where the feed has no `from_unit`, is a fault, `missing`, for `unit_path`; in a text it means
    `unit`. An unknown unit, or one of another quantity, is a fault, `unknown_unit`, which names it
    ([units](units.md)). `min` and `max` are inclusive and hold for the value. An integer that no double can hold is
    treated as [input] `not_exact` says; a value that is not finite is a fault, `not_finite`.
    """

    type: str = "number"
    required: bool = True
    min: float | None = None
    max: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    encoding: Literal["auto", "array", "base64", "hex"] = "auto"
    length: int | None = None
    bits: tuple[int, int] | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal[" ", ".", ",", "'", "_"] | None = None
    unit_in_text: bool = False
    true_texts: tuple[str, ...] = ()
    false_texts: tuple[str, ...] = ()
    null_texts: tuple[str, ...] = ()
    from_unit: str | None = None
    unit: str | None = None
    unit_path: str | None = None
    scale_path: str | None = None
    exponent_path: str | None = None
    description: str | None = None

    @property
    def packed(self) -> Packed | None:
        """The field's packed type; None for the other types."""
        return packed_type(self.type)

    @property
    def is_array(self) -> bool:
        """Whether the field holds several numbers (for shape `summary`)."""
        return self.type == "numbers" or self.type.endswith("[]")

    @property
    def linear(self) -> tuple[float, float]:
        """Factor and summand that turn the sent number into the value, with those of the change of unit."""
        if self.from_unit is None:
            return self.scale, self.offset
        return self.linear_of(self.from_unit)

    def linear_of(self, unit: str) -> tuple[float, float]:
        """Factor and summand for a number that was sent in a unit. Raises ValueError for a unit that cannot be
        converted to the field's."""
        scale, offset = conversion(unit, self.unit or "", hint=False)
        return self.scale * scale, self.offset * scale + offset
