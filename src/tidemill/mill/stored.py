"""Reads payloads from the store as entries of the log, to apply or to cut them once more."""

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from tidemill.model.payload import EntryKind, LogEntry, Payload
from tidemill.store.client import Store


def stored_entry(tenant: str, feed: str, row: Mapping[str, Any], version: int) -> LogEntry:
    """The entry of the log for a row of query `mill_payloads`, to be applied under the feed version `version`."""
    payload = Payload(
        receipt=row["receipt"],
        tenant=tenant,
        feed=feed,
        feed_version=version,
        received_ns=row["received_ns"],
        format=row["format"],
        body=bytes.fromhex(row["body"]),
        sha256=b"",
        kind=EntryKind.DATA,
    )
    return LogEntry(row["seq"], payload)


def whole_entry(store: Store, damaged: LogEntry) -> LogEntry | None:
    """An entry whose bytes are damaged in the log, with the bytes of the store; null where the store lacks them, too.
    Raises StoreUnavailableError, StoreQueryError."""
    payload = damaged.payload
    body = store.raw("payload_body", "RawBLOB", tenant=payload.tenant, receipt=payload.receipt)
    if hashlib.sha256(body).digest() != payload.sha256:
        return None
    return LogEntry(damaged.seq, structs.replace(payload, body=body))
