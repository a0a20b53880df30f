"""Cursors: where a page ended, as an opaque text; a page begins after a *key*, whatever was inserted since.

What is a place in the log is sealed: what it holds is for this server alone. All tenants share one log, so the
difference of two places says how much others sent between them. A sealed cursor is encrypted and authenticated with a
key of the installation, bound to the tenant and to the route that gave it, and of a length that depends on nothing:
nobody reads one, makes one, or uses another tenant's. The construction is SIV (RFC 5297: a tag over the text is the
nonce of its encryption) with keyed BLAKE2b (RFC 7693) for both parts, which the standard library has.

Pages over several partitions of the log are merged by a time, as there is no order between partitions; their cursor
holds where each partition's part of a page ended: nothing is left out or comes twice.
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


def encode(*parts: int | str) -> str:
    """Parts -> text that is safe in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def cursor(*kinds: type) -> Reader:
    """A reader of cursors with parts of these kinds, as a tuple. ValueError for anything `encode` never gave."""

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
MAX_PARTS: Final = 5 * MAX_PARTITIONS  # a place of changes in each
_PART_BYTES: Final = 9  # an unsigned or a signed integer of 64 bits
_SALT_BYTES: Final = 8
_TAG_BYTES: Final = 16
_MASK_BYTES: Final = 64
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{40,1200}", re.ASCII)
_UNKNOWN: Final = "is not a cursor of an earlier answer to this route"


class Seals:
    """Seals places and opens them again. `key`: KEY_BYTES that outlive the process, else cursors end with it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, route: str, tenant: str, *parts: int, fresh: bool = False) -> str:
        """Parts (-2^63 to 2^64-1, at most MAX_PARTS) -> text that is safe in a URL. The same parts give the same text,
        unless it is to be `fresh`: then nobody can say whether two texts hold the same."""
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
        places = range(_SALT_BYTES, len(plain), _PART_BYTES)
        return tuple(int.from_bytes(plain[at : at + _PART_BYTES], "big", signed=True) for at in places)

    def after(self, route: str, tenant: str, text: str | None, start: tuple[int, ...]) -> tuple[int, ...]:
        """The place that the `cursor` of a request holds; `start` where there is none. Raises InputError."""
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


OF_PROCESS: Final = Seals(secrets.token_bytes(KEY_BYTES))  # for who keeps no key: they hold as long as the process


def sealed(text: str, _: Context) -> str:
    """A text of the shape of a sealed cursor, unopened."""
    if not _SHAPE.fullmatch(text):
        raise ValueError(_UNKNOWN)
    return text


def _bound(route: str, tenant: str) -> bytes:
    return blake2b(f"{route}\0{tenant}".encode(), digest_size=16).digest()


T = TypeVar("T")


def first_of(found: Sequence[Sequence[T]], count: int, key: Callable[[T], Any]) -> list[tuple[int, T]]:
    """The first `count` of what was found in all partitions, each with its partition's number: of what is next in each
    partition that with the lowest `key`."""
    if len(found) == 1:
        return [(0, item) for item in found[0][:count]]
    numbered = [[(number, item) for item in items] for number, items in enumerate(found)]
    return list(islice(heapq.merge(*numbered, key=lambda pair: key(pair[1])), count))
