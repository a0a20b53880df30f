"""Receipts as JSON: what intake answers the moment a payload is durable. What became of it comes from the store."""

from typing import Final

from tidemill.log.contract import Appended
from tidemill.model.payload import Payload
from tidemill.model.time import format_instant

# Every value put in is a number, hex, a UUID, an instant or a feed's name (a slug): nothing needs escaping.
_STORED: Final = (
    '{"id":"%s","feed":"%s","received_at":"%s","bytes":%d,"sha256":"%s","state":"stored","accepted":null,'
    '"rejected":null,"reasons":{},"rules_version":%d,"links":{"self":"/v1/receipts/%s",'
    '"payload":"/v1/receipts/%s/payload","rejections":"/v1/rejections?receipt=%s"}}'
)


def stored(payload: Payload, appended: Appended) -> bytes:
    """The receipt of a payload that is durable and not yet applied. `accepted` and `rejected` are not known yet."""
    receipt = appended.receipt
    text = _STORED % (
        receipt,
        payload.feed,
        format_instant(appended.received_ns),
        len(payload.body),
        payload.sha256.hex(),
        payload.feed_version,
        receipt,
        receipt,
        receipt,
    )
    return text.encode()


def location(receipt: str) -> tuple[bytes, bytes]:
    """The Location header of a receipt."""
    return (b"location", b"/v1/receipts/" + receipt.encode())
