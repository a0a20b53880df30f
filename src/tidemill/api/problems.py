"""Answers errors with problem documents (RFC 9457, `application/problem+json`).

Every problem has a stable `code`, and its status and title from `problem_codes.PROBLEMS`; `detail` says what failed and
what to do, `errors` names every fault. An unexpected exception becomes `internal` with an incident id: its traceback
goes to the log, never to the client.
"""

import logging
import math
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tidemill.api.problem_codes import PROBLEMS
from tidemill.errors import (
    AccessError,
    ConflictError,
    DiskFullError,
    Fault,
    InputError,
    LimitError,
    LogCorruptError,
    LogUnavailableError,
    NotFoundError,
    StoreDamagedError,
    StoreQueryError,
    StoreUnavailableError,
    TidemillError,
    UnavailableError,
)

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = b"application/problem+json"
MAX_ERRORS: Final = 101  # faults that a problem document names: a decoder gives 100 and a count of the rest

Header = tuple[bytes, bytes]


# The code of a LimitError by the name of its limit; any other limit is one of a query.
_LIMIT_CODES: Final = {
    "max_body": "too_large",
    "max_bulk_body": "too_large",
    "max_unpacked": "too_large",
    "max_ratio": "too_large",
    "max_feed": "too_large",
    "body_timeout": "too_slow",
    "max_headers": "headers_too_large",
    "max_series": "series_limit",
    "max_open_feeds": "series_limit",
}
_TYPED: Final[tuple[tuple[type[TidemillError], str], ...]] = (
    (NotFoundError, "not_found"),
    (ConflictError, "conflict"),
    (DiskFullError, "disk_full"),
    (LogUnavailableError, "log_unavailable"),
    (StoreUnavailableError, "store_unavailable"),
    (LogCorruptError, "log_corrupt"),
)
_STORE_BEING_MADE: Final = {16, 47, 60, 81}  # ClickHouse: no such column (16, 47), table, database: a migration is due
_STORE_LIMITS: Final = {158, 159, 160, 241, 307, 396}  # ClickHouse: too many rows, too slow, out of its memory limit


class MediaTypeError(InputError):
    """The content type or content encoding is not taken."""

    code = "unsupported_media_type"


class OverloadedError(UnavailableError):
    """Too many requests or bytes are in flight; nothing of this request was kept."""

    code = "overloaded"


class WrongKeysError(TidemillError):
    """Too many wrong keys came from an address; it may send another key after `retry_after_s` seconds."""

    code = "wrong_keys"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MisdirectedError(TidemillError):
    """The request names a host that is not this server."""

    code = "misdirected"


class CrossSiteError(TidemillError):
    """A page of another site requests a change."""

    code = "cross_site"


class CsrfError(TidemillError):
    """A request with a session lacks the token that only a page of ours knows."""

    code = "csrf"


class ExpectationError(TidemillError):
    """`Expect` names an unknown expectation."""

    code = "expectation_failed"


class MethodError(TidemillError):
    """The path exists, but not with this method; `allowed` lists its methods."""

    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{path} does not take {method}; it takes {', '.join(allowed)}.")
        self.allowed = allowed


class NotDeletableError(ConflictError):
    """The points of a series come from records that other series share, so it cannot be deleted by itself."""

    code = "not_deletable"


class RefusedError(InputError):
    """A payload breaks the contract of its feed: kept in the ledger under `receipt`, not taken into the feed."""

    def __init__(self, message: str, faults: tuple[Fault, ...], receipt: str) -> None:
        super().__init__(message, faults)
        self.receipt = receipt


class RefusedCharsetError(RefusedError):
    """A payload's content type names a charset that is not taken; its bytes are kept under `receipt`."""

    code = "unsupported_media_type"


class HttpAnswer(msgspec.Struct, frozen=True):
    """A whole HTTP answer: status, headers and body."""

    status: int
    headers: list[Header]
    body: bytes


_encoder: Final = msgspec.json.Encoder()


def code_of(error: Exception) -> str:
    """The problem code of an error; `internal` for an unexpected exception."""
    if isinstance(error, LimitError):
        return _LIMIT_CODES.get(error.limit, "query_limit")
    if isinstance(error, AccessError):
        return "forbidden" if error.missing_scope else "unauthorized"
    if isinstance(error, StoreQueryError) and not isinstance(error, StoreDamagedError):
        return "query_limit" if error.store_code in _STORE_LIMITS else "internal"
    if isinstance(error, TidemillError) and error.code in PROBLEMS:
        return error.code
    return next((code for kind, code in _TYPED if isinstance(error, kind)), "internal")


def problem_answer(error: Exception, questions: Sequence[Any] | None = None) -> HttpAnswer:
    """The answer to a request that ended in `error`, with the `questions` that can be answered in its place. Logs an
    unexpected exception."""
    if isinstance(error, StoreQueryError) and error.store_code in _STORE_BEING_MADE:
        error = StoreUnavailableError("The store is being made: its tables are not there yet; ask again in a moment")
    code = code_of(error)
    if code == "internal":
        return _internal(error)
    faults = error.faults if isinstance(error, InputError) else ()
    detail = str(error)
    if len(faults) > MAX_ERRORS:
        detail += f" (the first {MAX_ERRORS} of {len(faults)} faults)"
    receipt = error.receipt if isinstance(error, RefusedError) else None
    headers = _headers(error, code)
    return problem_document(code, detail, faults[:MAX_ERRORS], receipt=receipt, headers=headers, questions=questions)


def problem_document(
    code: str,
    detail: str,
    faults: tuple[Fault, ...] = (),
    *,
    receipt: str | None = None,
    incident: str | None = None,
    headers: list[Header] | None = None,
    questions: Sequence[Any] | None = None,
) -> HttpAnswer:
    """The answer that carries the problem document of a code."""
    meaning = PROBLEMS[code]
    problem: dict[str, Any] = {
        "type": f"/docs/problems#{code}",
        "title": meaning.title,
        "status": meaning.status,
        "code": code,
        "detail": detail,
        "errors": faults,
    }
    if receipt:
        problem["receipt"] = receipt
    if incident:
        problem["incident"] = incident
    if questions:
        problem["questions"] = questions
    body = _encoder.encode(problem)
    basic = [(b"content-type", MEDIA_TYPE), (b"content-length", b"%d" % len(body))]
    return HttpAnswer(meaning.status, basic + (headers or []), body)


def _headers(error: Exception, code: str) -> list[Header]:
    if isinstance(error, UnavailableError | WrongKeysError):
        return [(b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s)))]
    if isinstance(error, MethodError):
        return [(b"allow", ", ".join(error.allowed).encode())]
    if code == "log_corrupt":
        return [(b"retry-after", b"60")]
    if code == "unauthorized":
        return [(b"www-authenticate", b'Bearer realm="tidemill"')]
    if code == "unsupported_media_type":
        return [(b"accept-encoding", b"gzip, zstd")]
    return []


def _internal(error: Exception) -> HttpAnswer:
    incident = uuid.uuid4().hex
    log.error("unexpected error", exc_info=error, extra={"facts": {"incident": incident}})
    return problem_document("internal", f"An unexpected error; its incident id is {incident}.", incident=incident)
