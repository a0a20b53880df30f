"""The one table from errors to problem documents (RFC 9457, `application/problem+json`).

Every problem has a stable `code`, a status and a title from `PROBLEMS`; `detail` says what failed and what to do,
`errors` names every fault. What was not raised on purpose becomes `internal` with an incident id: the traceback goes to
the log, never to the client. The docs page of problems is made from the same table.
"""

import logging
import math
import uuid
from typing import Final

import msgspec

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
MAX_ERRORS: Final = 101  # faults a problem document names: a decoder gives 100 and how many more there are

Header = tuple[bytes, bytes]


class Meaning(msgspec.Struct, frozen=True):
    """What a problem code means: its HTTP status, its title, and what to do about it."""

    status: int
    title: str
    help: str


PROBLEMS: Final[dict[str, Meaning]] = {
    "invalid": Meaning(
        400,
        "What was sent cannot be taken",
        "`errors` names every fault with its place. Of a payload that a feed refused, the bytes and the reasons are "
        "kept: `receipt` names them.",
    ),
    "feed_invalid": Meaning(400, "The feed definition is at fault", "`errors` names every fault with its line."),
    "unauthorized": Meaning(
        401, "A key is needed", "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`; `tidemill key create` makes one."
    ),
    "forbidden": Meaning(403, "The key may not do this", "Use a key with the scope that `detail` names."),
    "cross_site": Meaning(
        403,
        "A page of another site sent this",
        "What changes something is taken from programs, and from pages of this server itself. A name of this server "
        "that it does not know goes into the setting TIDEMILL_HOSTS.",
    ),
    "not_found": Meaning(404, "No such thing", "It never was, it is gone, or it belongs to another tenant."),
    "method_not_allowed": Meaning(405, "The method is not allowed here", "The `Allow` header lists those that are."),
    "too_slow": Meaning(408, "The request took too long to arrive", "Send it again, whole, within the stated time."),
    "conflict": Meaning(
        409, "The request contradicts an earlier one", "Use a new Idempotency-Key for another body, or the same body."
    ),
    "not_deletable": Meaning(
        409,
        "This series cannot be deleted by itself",
        "Its points come from records that other series have points of, too. Delete records, by tags or range, with "
        "`DELETE /v1/feeds/{feed}/points`.",
    ),
    "gone": Meaning(410, "It was deleted on request", "Its receipt stays as a proof; the bytes do not come back."),
    "version_mismatch": Meaning(
        412,
        "Another version is in force",
        "Nothing was changed. Read that version, and make the change to it.",
    ),
    "too_large": Meaning(413, "The body is over a stated limit", "`errors` names the limit. Send smaller payloads."),
    "uri_too_long": Meaning(414, "The request line is too long", "Shorten the URL."),
    "unsupported_media_type": Meaning(
        415, "The format cannot be read", "`detail` lists the content types and encodings that are taken."
    ),
    "expectation_failed": Meaning(417, "What is expected cannot be met", "Send `Expect: 100-continue`, or no Expect."),
    "misdirected": Meaning(
        421,
        "This server has no such name",
        "Use an address or a name that it has. An operator adds names with the setting TIDEMILL_HOSTS.",
    ),
    "query_limit": Meaning(
        422, "The question is too big", "Ask for a shorter range, fewer series or coarser steps, or page with `limit`."
    ),
    "wrong_keys": Meaning(
        429,
        "Too many wrong keys came from this address",
        "Send a right key, at once; or no more wrong ones for `Retry-After` seconds.",
    ),
    "headers_too_large": Meaning(
        431,
        "What a request has besides its body is over the stated limit",
        "Send fewer or shorter headers, chunk extensions and trailers.",
    ),
    "damaged": Meaning(
        500,
        "What is kept of it is damaged",
        "A disk changed bytes; `detail` names what and where, and `tidemill verify` lists all of it. An operator can "
        "run `tidemill verify --repair`, or put back a backup. The rest is served.",
    ),
    "internal": Meaning(
        500, "Something unexpected happened", "It is ours, not yours. Report the `incident` id; the server logged it."
    ),
    "log_lacks": Meaning(
        501,
        "The log of this server cannot do this",
        "`detail` says what, and what to do instead. It depends on how the server is run.",
    ),
    "unavailable": Meaning(503, "A part is not there now", "Send the same request again after `Retry-After` seconds."),
    "feed_damaged": Meaning(
        503, "A feed's definition is damaged in the catalog", "An operator puts the catalog back from a backup."
    ),
    "overloaded": Meaning(
        503, "Too much is in flight", "Nothing was stored. Send the same request again after `Retry-After` seconds."
    ),
    "log_unavailable": Meaning(
        503, "The log cannot make anything durable now", "Nothing was acknowledged. Send it again after `Retry-After`."
    ),
    "log_corrupt": Meaning(503, "The log is not what it was", "Nothing was acknowledged. An operator has to look."),
    "store_unavailable": Meaning(
        503, "The store cannot be reached", "Payloads are still accepted. Ask again after `Retry-After` seconds."
    ),
    "disk_full": Meaning(
        507, "Too little free disk to store anything", "Free some space on the server. Reads go on meanwhile."
    ),
}

# The status of a LimitError by the limit's name; any other is a limit of a query.
_LIMIT_CODES: Final = {
    "max_body": "too_large",
    "max_bulk_body": "too_large",
    "max_unpacked": "too_large",
    "max_ratio": "too_large",
    "max_feed": "too_large",
    "body_timeout": "too_slow",
    "max_headers": "headers_too_large",
}
_TYPED: Final[tuple[tuple[type[TidemillError], str], ...]] = (
    (NotFoundError, "not_found"),
    (ConflictError, "conflict"),
    (DiskFullError, "disk_full"),
    (LogUnavailableError, "log_unavailable"),
    (StoreUnavailableError, "store_unavailable"),
    (LogCorruptError, "log_corrupt"),
)
_STORE_BEING_MADE: Final = {60, 81}  # ClickHouse: no such table, no such database
_STORE_LIMITS: Final = {158, 159, 160, 241, 307, 396}  # ClickHouse: too many rows, too slow, out of its memory limit


class MediaTypeError(InputError):
    """A content type, charset or content encoding that is not taken."""

    code = "unsupported_media_type"


class OverloadedError(UnavailableError):
    """Too many requests or bytes are in flight; nothing of this one was kept."""

    code = "overloaded"


class WrongKeysError(TidemillError):
    """Too many wrong keys came from an address; it may send another after `retry_after_s` seconds."""

    code = "wrong_keys"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MisdirectedError(TidemillError):
    """The request names a host that is not this server."""

    code = "misdirected"


class CrossSiteError(TidemillError):
    """A page of another site asks for a change."""

    code = "cross_site"


class ExpectationError(TidemillError):
    """`Expect` asks for something that is not known."""

    code = "expectation_failed"


class MethodError(TidemillError):
    """The path exists, not with this method; `allowed` lists the methods it has."""

    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{path} does not take {method}; it takes {', '.join(allowed)}.")
        self.allowed = allowed


class NotDeletableError(ConflictError):
    """A series whose points come from records that other series share; deleting it would tear them apart."""

    code = "not_deletable"


class RefusedError(InputError):
    """A payload broke its feed's contract: kept in the ledger under `receipt`, not taken into the feed."""

    def __init__(self, message: str, faults: tuple[Fault, ...], receipt: str) -> None:
        super().__init__(message, faults)
        self.receipt = receipt


class HttpAnswer(msgspec.Struct, frozen=True):
    """A whole HTTP answer: status, headers and body."""

    status: int
    headers: list[Header]
    body: bytes


_encoder: Final = msgspec.json.Encoder()


def code_of(error: Exception) -> str:
    """The problem code of an error; `internal` for whatever was not raised on purpose."""
    if isinstance(error, LimitError):
        return _LIMIT_CODES.get(error.limit, "query_limit")
    if isinstance(error, AccessError):
        return "forbidden" if error.missing_scope else "unauthorized"
    if isinstance(error, StoreQueryError) and not isinstance(error, StoreDamagedError):
        return "query_limit" if error.store_code in _STORE_LIMITS else "internal"
    if isinstance(error, TidemillError) and error.code in PROBLEMS:
        return error.code
    return next((code for kind, code in _TYPED if isinstance(error, kind)), "internal")


def answer(error: Exception) -> HttpAnswer:
    """The answer to a request that ended in `error`. Logs what is unexpected."""
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
    return document(code, detail, faults[:MAX_ERRORS], receipt=receipt, headers=_headers(error, code))


def document(
    code: str,
    detail: str,
    faults: tuple[Fault, ...] = (),
    *,
    receipt: str | None = None,
    incident: str | None = None,
    headers: list[Header] | None = None,
) -> HttpAnswer:
    """The answer that carries the problem document of a code."""
    meaning = PROBLEMS[code]
    problem = {
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
    return document("internal", f"An unexpected error; its incident id is {incident}.", incident=incident)
