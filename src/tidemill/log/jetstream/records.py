"""A payload as messages of a stream, and back.

The last message holds the head and the end of the body; a body larger than a part (1 MiB) begins in messages of its
own before it. The head has a checksum (CRC-32), the whole body its sha256.
"""

import hashlib
import struct
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from tidemill.errors import Fault
from tidemill.log.contract import Header
from tidemill.log.jetstream.names import StreamNames
from tidemill.model.payload import EntryKind, LogEntry, Payload

PART_BYTES: Final = 1 << 20
_PREFIX: Final = struct.Struct(">II")  # bytes of the head, CRC-32 of the head
MSG_ID: Final = "Nats-Msg-Id"


class Head(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A payload without its body; `size` is the length of the body, `parts` the number of messages before the last."""

    receipt: str
    tenant: str
    feed: str
    feed_version: int
    received_ns: int
    format: str
    sha256: bytes
    kind: EntryKind
    faults: tuple[Fault, ...]
    size: int
    parts: int


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message to be stored."""

    subject: str
    data: bytes
    headers: dict[str, str]


class StoredRecord(msgspec.Struct, frozen=True, gc=False):
    """The last message of an entry as it is read: `tail` is the end of the body."""

    seq: int
    head: Head
    tail: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Head).decode


def messages_of(payload: Payload, names: StreamNames) -> list[Message]:
    """The messages of a payload in order. Raises ValueError for a text that cannot be encoded."""
    body = payload.body
    parts = max(0, (len(body) - 1) // PART_BYTES)
    raw = _encode(
        Head(
            payload.receipt,
            payload.tenant,
            payload.feed,
            payload.feed_version,
            payload.received_ns,
            payload.format,
            payload.sha256,
            payload.kind,
            payload.faults,
            len(body),
            parts,
        )
    )
    messages = [
        Message(names.parts, body[n * PART_BYTES : (n + 1) * PART_BYTES], {MSG_ID: part_id(payload.receipt, n)})
        for n in range(parts)
    ]
    subject = names.deletions if payload.kind is EntryKind.DELETE else names.data
    data = _PREFIX.pack(len(raw), zlib.crc32(raw)) + raw + body[parts * PART_BYTES :]
    messages.append(Message(subject, data, {MSG_ID: payload.receipt}))
    return messages


def part_id(receipt: str, number: int) -> str:
    """The message id of a part."""
    return f"{receipt}.{number}"


def read_record(seq: int, data: bytes) -> StoredRecord | None:
    """The record in a message, or None when its head is damaged."""
    if len(data) < _PREFIX.size:
        return None
    size, checksum = _PREFIX.unpack_from(data)
    raw = data[_PREFIX.size : _PREFIX.size + size]
    if zlib.crc32(raw) != checksum:
        return None
    try:
        return StoredRecord(seq, _decode(raw), data[_PREFIX.size + size :])
    except msgspec.MsgspecError:
        return None


def entry_of_record(offset: int, record: StoredRecord, parts: Sequence[bytes | None]) -> LogEntry:
    """The entry at an offset; `parts`: the earlier parts of its body, null where one is not there."""
    head = record.head
    missing = any(part is None for part in parts)
    body = b"".join([*(part or b"" for part in parts), record.tail])
    damage = ""
    if missing:
        damage = "parts of its body are not there"
    elif hashlib.sha256(body).digest() != head.sha256:
        damage = "its body does not match its sha256"
    payload = Payload(
        head.receipt,
        head.tenant,
        head.feed,
        head.feed_version,
        head.received_ns,
        head.format,
        body,
        head.sha256,
        head.kind,
        head.faults,
    )
    return LogEntry(offset, payload, damage)


def header_of_record(offset: int, record: StoredRecord) -> Header:
    """The entry at an offset without its body."""
    head = record.head
    return Header(offset, head.tenant, head.feed, head.kind, head.size, head.received_ns)
