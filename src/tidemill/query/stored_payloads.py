"""Payloads that are decoded again for people: their facts and their bytes, from the store or, while they wait, from the
log."""

from typing import Any, Final

import msgspec

from tidemill.errors import GoneError, LimitError, LogDamagedError, LogLacksError, NotFoundError
from tidemill.log.contract import LogReader
from tidemill.model.deletion import is_erased
from tidemill.model.payload import EntryKind, LogEntry, Payload
from tidemill.store.client import Store

MAX_DECODED: Final = 16 << 20  # bytes of a payload that is decoded again; a larger one takes seconds


class StoredPayload(msgspec.Struct, frozen=True):
    """A payload that can be decoded again: its entry, its state (`stored`: it waits in the log), and the first and last
    instant of its records (ns), where they are noted."""

    entry: LogEntry
    state: str
    span: tuple[int, int] | None = None

    @property
    def waits(self) -> bool:
        """Whether nothing of it was applied yet."""
        return self.state == "stored"


class StoredPayloads:
    """Reads payloads of any tenant."""

    def __init__(self, store: Store, log: LogReader) -> None:
        self._store, self._log = store, log

    def read(self, tenant: str, receipt: str, most_bytes: int = MAX_DECODED) -> StoredPayload:
        """The payload of a receipt. Raises NotFoundError, GoneError when its bytes were deleted on request, LimitError
        for one of more than `most_bytes`, StoreUnavailableError."""
        rows = self._store.rows("record_payload", tenant=tenant, receipt=receipt)
        if not rows:
            return self._waiting(tenant, receipt, most_bytes)
        row = rows[0]
        if row["state"] == "deleted":
            raise GoneError(f"the bytes of payload '{receipt[:64]}' were deleted on request")
        _check_size(receipt, row["bytes"], most_bytes)
        body = self._store.raw("payload_body", "RawBLOB", tenant=tenant, receipt=receipt)
        span = None if row["first_ns"] is None else (row["first_ns"], row["last_ns"])
        return StoredPayload(LogEntry(row["seq"], _payload(tenant, row, body)), row["state"], span)

    def _waiting(self, tenant: str, receipt: str, most_bytes: int) -> StoredPayload:
        try:
            logged = self._log.find(tenant, receipt)
        except (LogDamagedError, LogLacksError):
            logged = None
        if logged is None or logged.payload.kind is EntryKind.DELETE:
            raise NotFoundError(f"there is no receipt '{receipt[:64]}'")
        if is_erased(logged.payload):
            raise GoneError(f"the bytes of payload '{receipt[:64]}' were deleted on request")
        _check_size(receipt, len(logged.payload.body), most_bytes)
        return StoredPayload(logged, "stored")


def _check_size(receipt: str, size: int, most_bytes: int) -> None:
    if size > most_bytes:
        message = f"payload '{receipt[:64]}' has {size:,} bytes; at most {most_bytes:,} are decoded again for this"
        raise LimitError("max_decoded", most_bytes, message)


def _payload(tenant: str, row: dict[str, Any], body: bytes) -> Payload:
    refused = row["state"] == "refused"
    return Payload(
        receipt=row["receipt"],
        tenant=tenant,
        feed=row["feed"],
        feed_version=row["feed_version"],
        received_ns=row["received_at"],
        format=row["format"],
        body=body,
        sha256=b"",
        kind=EntryKind.REFUSED if refused else EntryKind.DATA,
    )
