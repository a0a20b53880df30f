"""Payloads for tests of the log."""

import hashlib
from typing import Any

from tidemill.model.ids import new_receipt
from tidemill.model.payload import Payload

NOW_NS = 1_700_000_000_000_000_000


def payload(body: bytes = b"{}", received_ns: int = NOW_NS, **other: Any) -> Payload:
    given: dict[str, Any] = {"tenant": "default", "feed": "location", "feed_version": 1, "format": "json"} | other
    return Payload(
        receipt=new_receipt(received_ns),
        received_ns=received_ns,
        body=body,
        sha256=hashlib.sha256(body).digest(),
        **given,
    )
