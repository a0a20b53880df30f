"""Problem documents (RFC 9457) of a server as exceptions: each is a ProblemError, and the error of the same kind that
the server itself knows.

    ProblemError (TidemillError)
    ├── InputProblemError (InputError)              400, 408, 413, 415, 422 and other 4xx: the request is at fault
    ├── AccessProblemError (AccessError)            401, 403: no key, or one without the scope
    ├── NotFoundProblemError (NotFoundError)        404, 410: no such thing, or it was deleted
    ├── ConflictProblemError (ConflictError)        409, 412: another body under the same key, or another version
    └── UnavailableProblemError (UnavailableError)  429, 503, 507: not now; the client tried again already
"""

from typing import Final

import msgspec

from tidemill.errors import (
    AccessError,
    ConflictError,
    Fault,
    InputError,
    NotFoundError,
    TidemillError,
    UnavailableError,
)

RETRIED: Final = frozenset({429, 503, 507})  # nothing of the request was kept, or its Idempotency-Key says that it was


class ProblemDocument(msgspec.Struct, frozen=True):
    """The members of a problem document that exceptions have."""

    title: str = ""
    code: str = "internal"
    detail: str = ""
    errors: tuple[Fault, ...] = ()
    receipt: str | None = None
    incident: str | None = None


class ProblemError(TidemillError):
    """A server answered with a problem. `status` is the HTTP status, `code` the stable code, `errors` every fault with
    its path; `receipt` names the payload that was refused and kept, `incident` an unexpected error in the server's log;
    `retry_after_s` is how long the server asks to wait (null: it does not)."""

    def __init__(self, status: int, document: ProblemDocument, retry_after_s: float | None = None) -> None:
        TidemillError.__init__(self, document.detail or document.title or f"The server answered {status}.")
        self.status = status
        self.code = document.code
        self.errors = document.errors
        self.receipt = document.receipt
        self.incident = document.incident
        self.retry_after_s = retry_after_s or 0.0


class InputProblemError(ProblemError, InputError):
    """The request is at fault; `errors` (also `faults`) names every fault."""

    def __init__(self, status: int, document: ProblemDocument, retry_after_s: float | None = None) -> None:
        ProblemError.__init__(self, status, document, retry_after_s)
        self.faults = document.errors


class AccessProblemError(ProblemError, AccessError):
    """A key is needed, or one with another scope."""

    missing_scope = None


class NotFoundProblemError(ProblemError, NotFoundError):
    """No such thing for the tenant of this key, or it was deleted."""


class ConflictProblemError(ProblemError, ConflictError):
    """The request contradicts an earlier one, or what is in force."""


class UnavailableProblemError(ProblemError, UnavailableError):
    """The server could not do it now, however often it was asked within the client's patience."""


_KINDS: Final[dict[int, type[ProblemError]]] = {
    401: AccessProblemError,
    403: AccessProblemError,
    404: NotFoundProblemError,
    410: NotFoundProblemError,
    409: ConflictProblemError,
    412: ConflictProblemError,
    **dict.fromkeys(RETRIED, UnavailableProblemError),
}


def problem_error(status: int, body: bytes, retry_after_s: float | None = None) -> ProblemError:
    """The exception of an answer that is no success. A body that is no problem document, such as a proxy's, is quoted
    in the message."""
    try:
        document = msgspec.json.decode(body, type=ProblemDocument)
    except msgspec.DecodeError:
        text = body[:200].decode("utf-8", "replace").strip()
        document = ProblemDocument(
            detail=f"The server answered {status} without a problem document: {text or '(empty)'}"
        )
    kind = _KINDS.get(status, InputProblemError if 400 <= status < 500 else ProblemError)
    return kind(status, document, retry_after_s)
