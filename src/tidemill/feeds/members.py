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

    In a binary record (`at`) its `type` is `text` (UTF-8 of `length` bytes, filled up with NUL; all NUL is no text),
    `hex` (`length` bytes as hexadecimal digits, lower case) or an integer type of fields (its decimal digits)."""

    required: bool = True
    max_length: int = 256
    type: str = "text"
    length: int | None = None
    value: str | None = None


class Attribute(RecordMember, frozen=True):
    """A text that is stored with every point of a record and is no part of a series' identity: the current point of an
    instant has its own (a meter reading that is "estimated" is superseded by one that is "measured"). In a binary
    record its types are those of a tag."""

    required: bool = False
    max_length: int = 256
    type: str = "text"
    length: int | None = None


class Field(RecordMember, frozen=True):
    """A measured value.

    `number`: a finite JSON number. `numbers`: an array of them, at least one (for `summary`). Packed numbers, which are
    bytes: `int8`, `uint8`, and with `_le` or `_be` for the order of bytes (little or big end first) `int16`, `uint16`,
    `int32`, `uint32`, `int64`, `uint64`, `float32`, `float64`. `[]` behind a packed type (`int16_be[]`) makes it an
    array of such numbers, used like `numbers`; in a binary record `length` says of how many.

    In JSON the bytes are written as `encoding` says: `array` (integers 0..255), `base64`, `hex`, or `auto` (array or
    base64). The value is the number times `scale` plus `offset`, in double precision, and then, with `from_unit`,
    converted from that unit to `unit` (`from_unit = "degF"`, `unit = "degC"`); `min` and `max` are inclusive and hold
    for that value. A packed integer beyond 2^53 that no double can hold exactly is a fault, `not_exact`; a
    value that is not finite is one, `not_finite`.
    """

    type: str = "number"
    required: bool = True
    min: float | None = None
    max: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    encoding: Literal["auto", "array", "base64", "hex"] = "auto"
    length: int | None = None
    from_unit: str | None = None
    unit: str | None = None
    description: str | None = None

    @property
    def packed(self) -> Packed | None:
        """The field's packed type; None for `number` and `numbers`."""
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
        scale, offset = conversion(self.from_unit, self.unit or "")
        return self.scale * scale, self.offset * scale + offset
