"""Decodes and checks the body of `POST /v1/replays`, naming every fault, and makes the `ReplayRequest` of it."""

from typing import Any, Final

import msgspec

from tidemill.api.json_body import convert_document, decode_document, refuse_faults
from tidemill.errors import Fault
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.replay import LedgerRecord, RejectionFilter, ReplayRequest
from tidemill.model.time import parse_instant

MAX_RECEIPTS: Final = 10_000
MAX_DEFINITION: Final = 256 << 10  # bytes, as of `PUT /v1/feeds/{feed}`
_WAYS: Final = "either `start` and `end` (times of receipt; one may be left out), or `receipts`, or `rejections`"


class RejectedRecordBody(msgspec.Struct, frozen=True):
    """A rejected record: the receipt of its payload, and its index in it."""

    receipt: str
    index: int


class RejectionsBody(msgspec.Struct, frozen=True):
    """Payloads that have rejected records which match every given member. `items`: these very records."""

    reason: str | None = None
    receipt: str | None = None
    start: str | None = None
    end: str | None = None
    items: tuple[RejectedRecordBody, ...] | None = None


class ReplayBody(msgspec.Struct, frozen=True):
    """The body of a request for a replay. Times are RFC 3339, [start, end), of receipt. `version`: that of the feed to
    apply (default: the one in force); `definition` instead: a draft (TOML), in a dry run only."""

    feed: str
    start: str | None = None
    end: str | None = None
    receipts: tuple[str, ...] | None = None
    rejections: RejectionsBody | None = None
    version: int | None = None
    dry_run: bool = False
    definition: str | None = None


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
        else RejectionFilter(
            reason=only.reason,
            receipt=only.receipt,
            start_ns=_ns(only.start),
            end_ns=_ns(only.end),
            items=_items(only),
        ),
        draft=body.definition is not None,
        definition=body.definition,
    )


def _items(only: RejectionsBody) -> tuple[LedgerRecord, ...] | None:
    return None if only.items is None else tuple(LedgerRecord(item.receipt, item.index) for item in only.items)


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
    items = None if body.rejections is None else body.rejections.items
    if items is not None and not 1 <= len(items) <= MAX_RECEIPTS:
        message = f"{len(items)} records; one replay takes 1 to {MAX_RECEIPTS}"
        faults.append(Fault("$.rejections.items", "out_of_range", message))
    for number, item in enumerate(items or ()):
        if not 0 <= item.index < MAX_RECORDS:
            faults.append(Fault(f"$.rejections.items[{number}].index", "out_of_range", "must be the index of a record"))
    if body.definition is not None:
        faults += _draft_faults(body)
    if not faults:
        faults += _order_faults(body)
    return faults


def _draft_faults(body: ReplayBody) -> list[Fault]:
    faults = []
    if not body.dry_run:
        faults.append(Fault("$.dry_run", "conflict", "a draft can only be tried: say dry_run, or put it first"))
    if body.version is not None:
        faults.append(Fault("$.version", "conflict", "say either which version to apply, or a definition"))
    if len((body.definition or "").encode("utf-8", "surrogatepass")) > MAX_DEFINITION:
        faults.append(Fault("$.definition", "too_long", f"a definition has at most {MAX_DEFINITION >> 10} KiB"))
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
