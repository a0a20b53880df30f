"""Cursors: where a page ended, as an opaque text. Stable: a page begins after a *key*, whatever was inserted since."""

import base64
import binascii
from typing import Final

import msgspec

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
