"""What a subscription remembers: which messages were taken, and the payload that is on its way to the log.

A broker sends a message again, marked as such and with the number it had, when no acknowledgement came. Its digest
distinguishes it from another message with that number. The session is saved before a payload is handed in: whatever is
cut after that, the payload is handed in again with its key, and its messages are recognised.
"""

import base64
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from tidemill.sources.mqtt_connection import SENT_AHEAD, MqttMessage
from tidemill.sources.mqtt_spec import MqttSpec

_KEPT = 2 * SENT_AHEAD  # messages that are remembered: the broker has at most SENT_AHEAD that are not acknowledged


class MqttSession(msgspec.Struct, frozen=True, kw_only=True):
    """`taken`: number and digest of the messages that were taken last, those of the pending payload among them.
    `pending_key` and `pending`: a payload that may not be in the log yet; "": there is none."""

    client_id: str
    taken: dict[int, str] = {}
    pending_key: str = ""
    pending: str = ""

    def knows(self, message: MqttMessage) -> bool:
        """Whether a message that the broker sends again was taken."""
        return message.again and self.taken.get(message.mid) == message_digest(message)

    def without(self, messages: Iterable[MqttMessage]) -> "MqttSession":
        """The session once these messages came: one that the broker sends for the first time has a number whose
        message before is acknowledged, so that nothing with that number can come again but the new message."""
        fresh = {message.mid for message in messages if message.qos and not message.again}
        if fresh.isdisjoint(self.taken):
            return self
        taken = {mid: digest for mid, digest in self.taken.items() if mid not in fresh}
        return msgspec.structs.replace(self, taken=taken)

    def with_pending(self, key: str, body: bytes, messages: Iterable[MqttMessage]) -> "MqttSession":
        """The session once these messages are the pending payload."""
        taken = dict(self.taken)
        for message in messages:
            if message.qos:
                taken.pop(message.mid, None)  # the newest stands last
                taken[message.mid] = message_digest(message)
        kept = dict(list(taken.items())[-_KEPT:])
        return msgspec.structs.replace(self, taken=kept, pending_key=key, pending=body.decode())

    def encode(self) -> str:
        """The session as the token of a cursor."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, token: str) -> "MqttSession":
        """The session of a token. Raises msgspec.DecodeError."""
        return msgspec.json.decode(token, type=cls)


def message_digest(message: MqttMessage) -> str:
    """Twelve digits of the SHA-256 of topic and payload."""
    return sha256(message.topic.encode("utf-8", "replace") + b"\0" + message.payload).hexdigest()[:12]


def message_line(spec: MqttSpec, message: MqttMessage) -> bytes:
    """The record of a message: a line of JSON, with its line break."""
    head = {
        "topic": {"name": message.topic, **spec.values(message.topic)},
        "labels": ["retained"] if message.retained else [],
    }
    return msgspec.json.encode(head)[:-1] + b',"message":' + _as_json(message.payload) + b"}\n"


def _as_json(payload: bytes) -> bytes:
    """A payload that is JSON as it is, on one line; other text as a JSON text, other bytes in Base64; nothing: null."""
    if not payload.strip():
        return b"null"
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return msgspec.json.encode(payload.decode())
        except UnicodeDecodeError:
            return msgspec.json.encode(base64.b64encode(payload).decode())
    return payload.replace(b"\r", b" ").replace(b"\n", b" ")  # in a text of it both would be escaped
