"""Decodes and checks the body of `POST /v1/replays`, naming every fault, and makes the `ReplayRequest` of it."""

from typing import Any, Final

import msgspec

from tidemill.api.json_body import convert_document, decode_document, refuse_faults
from tidemill.errors import Fault
from tidemill.model.replay import RejectionFilter, ReplayRequest
from tidemill.model.time import parse_instant

MAX_RECEIPTS: Final = 10_000
_WAYS: Final = "either `start` and `end` (times of receipt; one may be left out), or `receipts`, or `rejections`"


class RejectionsBody(msgspec.Struct, frozen=True):
    """Payloads that have rejected records which match every given member."""

    reason: str | None = None
    receipt: str | None = None
    start: str | None = None
    end: str | None = None


class ReplayBody(msgspec.Struct, frozen=True):
    """The body of a request for a replay. Times are RFC 3339, [start, end), of receipt. `version`: that of the feed to
    apply (default: the one in force)."""

    feed: str
    start: str | None = None
    end: str | None = None
    receipts: tuple[str, ...] | None = None
    rejections: RejectionsBody | None = None
    version: int | None = None
    dry_run: bool = False


def decode_replay_body(raw: bytes) -> ReplayBody:
    """The body decoded from JSON. Raises InputError naming every fault."""
    return replay_body(decode_document(raw))


def replay_body(data: Any) -> ReplayBody:
    """A document as a body. Raises InputError naming every fault."""
    body, faults = convert_document(data, ReplayBody)
    if body is not None:
        faults += _faults(body)
    refuse_faults(faults)
    assert body is not None
    return body


def replay_request_of(body: ReplayBody, version: int) -> ReplayRequest:
    """The replay that a body without faults requests; `version` is the version of the feed to apply."""
    only = body.rejections
    return ReplayRequest(
        feed=body.feed,
        version=version,
        dry_run=body.dry_run,
        start_ns=_ns(body.start),
        end_ns=_ns(body.end),
        receipts=None if body.receipts is None else tuple(dict.fromkeys(body.receipts)),
        rejections=None
        if only is None
        else RejectionFilter(reason=only.reason, receipt=only.receipt, start_ns=_ns(only.start), end_ns=_ns(only.end)),
    )


def _faults(body: ReplayBody) -> list[Fault]:
    """The faults of a body whose types are right."""
    times = [("$.start", body.start), ("$.end", body.end)]
    if body.rejections is not None:
        times += [("$.rejections.start", body.rejections.start), ("$.rejections.end", body.rejections.end)]
    faults = [fault for path, text in times if (fault := _time_fault(path, text))]
    ways = [body.start is not None or body.end is not None, body.receipts is not None, body.rejections is not None]
    if sum(ways) != 1:
        faults.append(Fault("$", "conflict" if any(ways) else "missing", f"say which payloads: {_WAYS}"))
    if body.receipts is not None and not 1 <= len(body.receipts) <= MAX_RECEIPTS:
        message = f"{len(body.receipts)} receipts; one replay takes 1 to {MAX_RECEIPTS}"
        faults.append(Fault("$.receipts", "out_of_range", message))
    if body.version is not None and body.version < 1:
        faults.append(Fault("$.version", "out_of_range", "versions count from 1"))
    if not faults:
        faults += _order_faults(body)
    return faults


def _order_faults(body: ReplayBody) -> list[Fault]:
    spans: list[tuple[str, Any]] = [("$.end", body), ("$.rejections.end", body.rejections)]
    return [
        Fault(path, "conflict", "end must be after start")
        for path, span in spans
        if span is not None and span.start and span.end and parse_instant(span.start) >= parse_instant(span.end)
    ]


def _time_fault(path: str, text: str | None) -> Fault | None:
    if text is None:
        return None
    try:
        parse_instant(text)
    except ValueError as error:
        return Fault(path, "time_invalid", str(error))
    return None


def _ns(text: str | None) -> int | None:
    return None if text is None else parse_instant(text)
