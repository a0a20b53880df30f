"""ClickHouse's errors on the wire: code, name, HTTP status and body, as the server itself would send them."""

import re

from tidemill.errors import TidemillError

BAD_ARGUMENTS = 36
SYNTAX_ERROR = 62
CANNOT_WRITE = 75
TIMEOUT_EXCEEDED = 159
TOO_MANY_SIMULTANEOUS_QUERIES = 202
NOT_ENOUGH_SPACE = 243
CANNOT_DECOMPRESS = 271
AUTHENTICATION_FAILED = 516
UNKNOWN_EXCEPTION = 1002

_CODE = re.compile(r"Code: (\d+)\.")

# The part of ClickHouse's exceptionCodeToHTTPStatus that an embedded engine can meet; all else is 500.
_BAD_REQUEST = (6, 26, 27, 36, 38, 41, 43, 53, 62, 63, 69, 70, 72, 117, 130, 131, 132, 456, 457, 691)
_NOT_FOUND = (16, 46, 47, 50, 56, 60, 78, 81, 115)
_STATUS: dict[int, int] = {
    **dict.fromkeys(_BAD_REQUEST, 400),
    **dict.fromkeys((192, 193, AUTHENTICATION_FAILED), 403),
    **dict.fromkeys(_NOT_FOUND, 404),
    TIMEOUT_EXCEEDED: 408,
    48: 501,
    TOO_MANY_SIMULTANEOUS_QUERIES: 503,
}


class EngineError(TidemillError):
    """A query failed. `number` is ClickHouse's error code, the message its text, `Code: N. DB::Exception: ...`."""

    code = "store_query"

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number

    @property
    def status(self) -> int:
        """The HTTP status ClickHouse answers this code with."""
        return _STATUS.get(self.number, 500)


def refusal(number: int, name: str, text: str) -> EngineError:
    """An error raised by Tidemill's own code, in the form of ClickHouse's errors."""
    return EngineError(number, f"Code: {number}. DB::Exception: {text} ({name})")


def from_chdb(error: Exception) -> EngineError:
    """The EngineError for an error of chDB. Text before `Code: N` is dropped; without a code: 1002."""
    text = str(error).strip()
    match = _CODE.search(text)
    if match is None:
        return refusal(UNKNOWN_EXCEPTION, "UNKNOWN_EXCEPTION", text or type(error).__name__)
    return EngineError(int(match.group(1)), text[match.start() :])
