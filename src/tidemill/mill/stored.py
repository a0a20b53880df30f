"""Payloads as the store keeps them, to be applied or cut apart once more."""

from collections.abc import Mapping
from typing import Any

from tidemill.model.payload import Kind, Logged, Payload


def entry(tenant: str, feed: str, row: Mapping[str, Any], version: int) -> Logged:
    """A row of `mill_payloads` as the entry of the log that it was, to be applied under `version`."""
    payload = Payload(
        receipt=row["receipt"],
        tenant=tenant,
        feed=feed,
        feed_version=version,
        received_ns=row["received_ns"],
        format=row["format"],
        body=bytes.fromhex(row["body"]),
        sha256=b"",
        kind=Kind.DATA,
    )
    return Logged(row["seq"], payload)
