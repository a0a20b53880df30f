"""The texts of a payload's records for the ledger: the bytes of each record, as text.

A payload that cannot be cut has its text at index 0; every other index has none, so that the texts of a payload are
never more than twice its bytes.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

MAX_RECORD_TEXT: Final = 64 << 10  # bytes of a record kept in the ledger, in UTF-8
CUT_OFF: Final = "…"  # the end of a text of which the ledger keeps only the beginning


class Texts(msgspec.Struct, frozen=True):
    """[start, end) of each record in `body`; no records: the payload cannot be cut. `digits`: bytes are shown as
    hexadecimal digits."""

    body: bytes
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    digits: bool = False

    def text(self, index: int) -> str:
        """The text of a record, at most MAX_RECORD_TEXT bytes; a longer one is cut and ends with CUT_OFF. For an index
        without a record "", for 0 the payload's beginning."""
        if index < len(self.starts):
            piece = self.body[self.starts[index] : self.ends[index]]
        elif index == 0:
            piece = self.body
        else:
            return ""
        return _digits(piece) if self.digits else _text(piece.strip())


def _digits(piece: bytes) -> str:
    if len(piece) * 2 <= MAX_RECORD_TEXT:
        return piece.hex()
    return piece[: MAX_RECORD_TEXT // 2 - 2].hex() + CUT_OFF


def _text(piece: bytes) -> str:
    """Bytes as a text. What is not UTF-8 becomes three bytes for each byte, so such a text is cut sooner: at twice the
    bytes and a line feed."""
    most = min(MAX_RECORD_TEXT, 2 * len(piece) + 2)
    written = piece[: MAX_RECORD_TEXT + 1].decode("utf-8", "replace").encode()
    if len(written) <= most:
        return written.decode()
    return written[: most - len(CUT_OFF.encode())].decode("utf-8", "ignore") + CUT_OFF
