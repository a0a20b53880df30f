"""Cursors: the key of the last item of a page, as an opaque text. The next page begins after that key, so that items
inserted in between neither repeat nor hide others.

A cursor that holds offsets of the log is sealed, and only this server can read it: all tenants share one log, so the
difference of two offsets says how much others sent in between. A sealed cursor is encrypted and authenticated with a
key of the installation and bound to the tenant and to the route that gave it; its length does not depend on its values.
Nobody can read or make one, or use one of another tenant. The construction is SIV (RFC 5297: a tag over the text is the
nonce of its encryption) with keyed BLAKE2b (RFC 7693) for both parts, which the standard library has.

A page over several partitions of the log is merged by a time, because partitions have no common order. Its cursor holds
the last key of each partition, so that no item is left out and none comes twice.
"""

import base64
import binascii
import heapq
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from tidemill.errors import Fault, InputError
from tidemill.model.offset import MAX_PARTITIONS
from tidemill.query.readers import Context, Reader

_MAX_INT: Final = 2**64 - 1


def encode_cursor(*parts: int | str) -> str:
    """A cursor of these parts, as text that is safe in a URL. Not sealed: anybody can read it."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def cursor_reader(*kinds: type) -> Reader:
    """A reader of cursors whose parts have these types, as a tuple; it raises ValueError for text of another shape."""

    def read(text: str, _: Context) -> tuple[int | str, ...]:
        try:
            raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            parts = msgspec.json.decode(raw, type=tuple[int | str, ...])
        except (ValueError, binascii.Error, msgspec.MsgspecError):
            raise ValueError("is not a cursor of an earlier answer") from None
        fits = len(parts) == len(kinds) and all(type(p) is kind for p, kind in zip(parts, kinds, strict=False))
        if not fits or any(isinstance(p, int) and not -(2**63) <= p <= _MAX_INT for p in parts):
            raise ValueError("is not a cursor of an earlier answer to this route")
        return parts

    return read


KEY_BYTES: Final = 32
MAX_PARTS: Final = 5 * MAX_PARTITIONS + 1  # the key of a change for each partition, and a time
_PART_BYTES: Final = 9  # an unsigned or a signed integer of 64 bits
_SALT_BYTES: Final = 8
_TAG_BYTES: Final = 16
_MASK_BYTES: Final = 64
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{40,1200}", re.ASCII)
_UNKNOWN: Final = "is not a cursor of an earlier answer to this route"


class Seals:
    """Seals offsets as cursors and opens them again. `key`: KEY_BYTES; cursors are valid for as long as it is kept."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, route: str, tenant: str, *parts: int, fresh: bool = False) -> str:
        """A sealed cursor of these parts (-2^63 to 2^64-1, at most MAX_PARTS), as text that is safe in a URL. The same
        parts give the same text, unless `fresh`: then nobody can say whether two texts hold the same parts."""
        salt = secrets.token_bytes(_SALT_BYTES) if fresh else bytes(_SALT_BYTES)
        text = salt + b"".join(part.to_bytes(_PART_BYTES, "big", signed=True) for part in parts)
        bound = _bound(route, tenant)
        tag = self._tag(bound, text)
        return base64.urlsafe_b64encode(tag + self._masked(bound, tag, text)).rstrip(b"=").decode()

    def open(self, route: str, tenant: str, text: str, count: int) -> tuple[int, ...]:
        """The `count` parts of a text that `seal` gave for this route and tenant. Raises ValueError for any other."""
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise ValueError(_UNKNOWN) from None
        if len(raw) != _TAG_BYTES + _SALT_BYTES + count * _PART_BYTES:
            raise ValueError(_UNKNOWN)
        bound, tag = _bound(route, tenant), raw[:_TAG_BYTES]
        plain = self._masked(bound, tag, raw[_TAG_BYTES:])
        if not hmac.compare_digest(self._tag(bound, plain), tag):
            raise ValueError(_UNKNOWN)
        starts = range(_SALT_BYTES, len(plain), _PART_BYTES)
        return tuple(int.from_bytes(plain[start : start + _PART_BYTES], "big", signed=True) for start in starts)

    def open_or_start(self, route: str, tenant: str, text: str | None, start: tuple[int, ...]) -> tuple[int, ...]:
        """The parts of the `cursor` of a request; `start` where it has none. Raises InputError for an invalid one."""
        if text is None:
            return start
        try:
            return self.open(route, tenant, text, len(start))
        except ValueError as error:
            message = f"cursor: {error}"
            raise InputError(message, (Fault("$query.cursor", "invalid", message),)) from None

    def _tag(self, bound: bytes, text: bytes) -> bytes:
        return blake2b(text, key=self._key, digest_size=_TAG_BYTES, salt=b"tag", person=bound).digest()

    def _masked(self, bound: bytes, tag: bytes, text: bytes) -> bytes:
        salts = [b"mask" + (bytes([block]) if block else b"") for block in range(-(-len(text) // _MASK_BYTES))]
        mask = b"".join(
            blake2b(tag, key=self._key, digest_size=_MASK_BYTES, salt=salt, person=bound).digest() for salt in salts
        )
        return bytes(a ^ b for a, b in zip(text, mask, strict=False))


PROCESS_SEALS: Final = Seals(secrets.token_bytes(KEY_BYTES))  # for callers without a key: valid until the process ends


def read_sealed_cursor(text: str, _: Context) -> str:
    """A text of the shape of a sealed cursor, unopened. Raises ValueError for any other shape."""
    if not _SHAPE.fullmatch(text):
        raise ValueError(_UNKNOWN)
    return text


def _bound(route: str, tenant: str) -> bytes:
    return blake2b(f"{route}\0{tenant}".encode(), digest_size=16).digest()


T = TypeVar("T")


def merge_partitions(partitions: Sequence[Sequence[T]], count: int, key: Callable[[T], Any]) -> list[tuple[int, T]]:
    """The first `count` items of all partitions, each with the number of its partition, merged by the lowest `key`. The
    order within a partition is kept."""
    if len(partitions) == 1:
        return [(0, item) for item in partitions[0][:count]]
    numbered = [[(number, item) for item in items] for number, items in enumerate(partitions)]
    return list(islice(heapq.merge(*numbered, key=lambda pair: key(pair[1])), count))
