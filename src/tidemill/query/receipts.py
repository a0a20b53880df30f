"""Receipts: the outcome of a payload, and its bytes as they came.

Applied payloads are answered from the store, those that are not applied yet from the log, as state `stored`. The bytes
can be read from the moment of the acknowledgement, from whichever of the two has them.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from tidemill.errors import (
    DamagedError,
    GoneError,
    LogDamagedError,
    LogLacksError,
    NotFoundError,
    StoreDamagedError,
    StoreUnavailableError,
    TidemillError,
)
from tidemill.log.contract import LogReader
from tidemill.model.deletion import is_erased
from tidemill.model.payload import LogEntry, format_name
from tidemill.model.time import format_instant
from tidemill.store.client import Store

MEDIA_TYPES: Final = {"json": "application/json", "ndjson": "application/x-ndjson"}


class Links(msgspec.Struct, frozen=True):
    """The links of a receipt, of its bytes and of its rejections."""

    self: str
    payload: str
    rejections: str


class Receipt(msgspec.Struct, frozen=True):
    """A receipt. `accepted` and `rejected` are null until the payload is applied; then they add up to
    the records in it. `reasons` counts rejected records by reason code, `missing` the values of all its well-formed
    records that are null or absent (null: not known). `rules_version` is the feed's version. State `deleted`: the bytes
    were deleted on request; the receipt still proves that they were stored."""

    id: str
    feed: str
    received_at: str
    bytes: int
    sha256: str
    state: Literal["stored", "applied", "refused", "poison", "deleted"]
    accepted: int | None
    rejected: int | None
    reasons: dict[str, int]
    missing: int | None
    rules_version: int
    links: Links


class Bytes(msgspec.Struct, frozen=True):
    """A payload verbatim: `sha256` in hexadecimal, `media_type` of the format that intake determined."""

    body: bytes
    media_type: str
    sha256: str


class Receipts:
    """Looks up receipts in the store, then in the log: the mill writes the outcome before the log drops the payload.

    While the store cannot be reached, payloads that the log still has are answered from the log.
    """

    def __init__(self, store: Store, log: LogReader) -> None:
        self._store, self._log = store, log

    def receipt(self, tenant: str, receipt: str) -> Receipt:
        """The receipt of this id. Raises NotFoundError, StoreUnavailableError (where the log does not have it either),
        StoreDamagedError (its outcome is unknown then; the log would report `stored`), LogLacksError (the store does
        not have it yet, and the log cannot look it up)."""
        try:
            rows = self._store.rows("receipt", tenant=tenant, receipt=receipt)
        except StoreUnavailableError:
            logged, _ = self._in_log(tenant, receipt)
            if logged is None:
                raise
            return stored_receipt(logged)
        if rows:
            return msgspec.convert({**rows[0], "links": receipt_links(receipt)}, Receipt)
        logged = self._log.find(tenant, receipt)
        if logged is None:
            raise _unknown(receipt)
        return stored_receipt(logged)

    def payload(self, tenant: str, receipt: str) -> Bytes:
        """The payload's bytes, which match its SHA-256. Raises NotFoundError, GoneError when they were deleted on
        request, StoreUnavailableError (where the log does not have it either), DamagedError when neither log nor store
        has the bytes as they were sent, LogLacksError as `receipt`."""
        logged, absent = self._in_log(tenant, receipt)
        held = logged is not None and not is_erased(logged.payload)
        try:
            facts = self._store.rows("payload_facts", tenant=tenant, receipt=receipt)
        except (StoreUnavailableError, StoreDamagedError):
            if not held:
                raise
            facts = []
        if (facts and facts[0]["state"] == "deleted") or (logged is not None and not held):
            raise GoneError(f"the bytes of payload '{receipt[:64]}' were deleted on request")
        if logged is not None and not logged.damage:
            payload = logged.payload
            return Bytes(payload.body, _media_type(payload.format), payload.sha256.hex())
        if not facts:
            raise absent if logged is None else _damaged(receipt, f"in the log {logged.damage}")
        return self._stored_bytes(tenant, receipt, facts[0], logged)

    def _stored_bytes(self, tenant: str, receipt: str, facts: dict[str, Any], logged: LogEntry | None) -> Bytes:
        body = self._store.raw("payload_body", "RawBLOB", tenant=tenant, receipt=receipt)
        sha256 = hashlib.sha256(body).hexdigest()
        if sha256 != (facts["sha256"] if logged is None else logged.payload.sha256.hex()):
            raise _damaged(receipt, "in the table payloads of the store its body does not match its sha256")
        return Bytes(body, _media_type(facts["format"]), sha256)

    def _in_log(self, tenant: str, receipt: str) -> tuple[LogEntry | None, TidemillError]:
        """The entry of a receipt, None where the log has none, is damaged or has no index; and the error to raise where
        the store does not have the payload either."""
        try:
            return self._log.find(tenant, receipt), _unknown(receipt)
        except LogDamagedError:
            return None, _unknown(receipt)
        except LogLacksError as error:
            return None, error


def receipt_links(receipt: str) -> Links:
    """The links of a receipt."""
    return Links(f"/v1/receipts/{receipt}", f"/v1/receipts/{receipt}/payload", f"/v1/rejections?receipt={receipt}")


def receipts_by_seq(store: Store, tenant: str, seqs: Iterable[int]) -> dict[int, str]:
    """The receipts of the payloads at these offsets that the store has, by offset."""
    wanted = sorted(set(seqs))
    rows = store.rows("receipts_by_seq", tenant=tenant, seqs=wanted) if wanted else []
    return {row["seq"]: row["receipt"] for row in rows}


def stored_receipt(logged: LogEntry) -> Receipt:
    """The receipt of a payload that is not applied yet."""
    payload = logged.payload
    return Receipt(
        id=payload.receipt,
        feed=payload.feed,
        received_at=format_instant(payload.received_ns),
        bytes=len(payload.body),
        sha256=payload.sha256.hex(),
        state="stored",
        accepted=None,
        rejected=None,
        reasons={},
        missing=None,
        rules_version=payload.feed_version,
        links=receipt_links(payload.receipt),
    )


def _unknown(receipt: str) -> NotFoundError:
    return NotFoundError(f"there is no receipt '{receipt[:64]}'")


def _damaged(receipt: str, where: str) -> DamagedError:
    return DamagedError(f"the bytes of payload '{receipt[:64]}' are damaged: {where}")


def _media_type(format: str) -> str:
    return MEDIA_TYPES.get(format_name(format), "application/octet-stream")
