"""Whose fault a refusal of the store is: the payload's only where the code speaks of the data that was sent.

Everything else (memory, time, disk, rights, a table that is not there, codes that nobody has met yet) is waited for:
a payload that was acknowledged is not given up for what is wrong elsewhere.
"""

from typing import Final

from tidemill.errors import StoreQueryError

ABOUT_DATA: Final = frozenset({
    6,    # CANNOT_PARSE_TEXT
    25,   # CANNOT_PARSE_ESCAPE_SEQUENCE
    26,   # CANNOT_PARSE_QUOTED_STRING
    27,   # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33,   # CANNOT_READ_ALL_DATA
    38,   # CANNOT_PARSE_DATE
    41,   # CANNOT_PARSE_DATETIME
    43,   # ILLEGAL_TYPE_OF_ARGUMENT
    53,   # TYPE_MISMATCH
    69,   # ARGUMENT_OUT_OF_BOUND
    70,   # CANNOT_CONVERT_TYPE
    72,   # CANNOT_PARSE_NUMBER
    117,  # INCORRECT_DATA
    128,  # TOO_LARGE_ARRAY_SIZE
    130,  # CANNOT_READ_ARRAY_FROM_TEXT
    131,  # TOO_LARGE_STRING_SIZE
    321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    407,  # DECIMAL_OVERFLOW
    457,  # BAD_QUERY_PARAMETER
})  # fmt: skip


def blames_payload(error: BaseException) -> bool:
    """Whether applying failed for what is in the payloads; of errors that are not the store's: always."""
    return not isinstance(error, StoreQueryError) or error.store_code in ABOUT_DATA
