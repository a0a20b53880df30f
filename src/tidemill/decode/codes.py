"""Every code of a fault of decoding, with its meaning. The documentation and the API's list are made from it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

FAULT_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "empty_body": "The payload has no bytes but white space.",
        "invalid_utf8": "The payload is not UTF-8.",
        "invalid_json": "The payload, or a line of it, is not JSON (RFC 8259).",
        "invalid_line": "A line is not line protocol: something is missing, or stands where it cannot.",
        "too_many_members": "A record has more tags or fields, or a table more columns, than are taken.",
        "too_deep": "Arrays and objects are nested deeper than the stated limit.",
        "too_many_records": "The payload holds more records than one payload may.",
        "unknown_format": "The feed does not take payloads of this format.",
        "missing": "A required member is not there.",
        "wrong_type": "A member is of another type than the feed needs.",
        "invalid_value": "A member is of the right type but says nothing that is known: an unknown unit, no duration.",
        "empty": "A text or an array has nothing in it, or a payload no record.",
        "too_long": "A text is longer than the feed allows.",
        "duplicate_key": "An object has a member twice, so that its meaning depends on the reader.",
        "lone_surrogate": "A text holds half of a surrogate pair, which is no character.",
        "control_character": "A text that names something holds a control character, such as NUL.",
        "not_finite": "A number is NaN, infinite, or too large for a double (1e999), also after scale and offset.",
        "not_exact": "An integer beyond 2^53 that a double cannot hold exactly ([input] `not_exact`).",
        "not_a_number": "A text that should hold a number holds none, or one written otherwise than the feed says.",
        "unknown_unit": "The record names a unit that is unknown, or that measures something else than the field.",
        "undecodable": "The payload is not of its format: a decoder, or base64 or hexadecimal, makes nothing of it.",
        "wrong_size": "Bytes are not a header and whole records of the layout, or a member has too few.",
        "out_of_range": "A number is outside the range that the feed states.",
        "time_invalid": "A time is not of the feed's format, or never was (25:00, second 60, 30 February, year 0).",
        "time_no_offset": "A time has no offset from UTC, and the feed has no zone for it.",
        "time_out_of_range": "A time is outside 1900-01-01 to 2262-04-11.",
        "duplicate_time": "A series names the same time twice.",
        "unequal_length": "A series has not as many times as values, or parallel arrays differ in length.",
        "conflict": "Members that exclude each other are both there.",
        "more_faults": "There are more faults than are named here; the message says how many.",
    }
)

# What is said of a record that counts: the marks of its points. `not_exact` can be one as well.
MARK_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "register_no_number": "A member among the registers is no number, so it became no point; the others count.",
    }
)
