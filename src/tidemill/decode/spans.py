"""Where the records of a payload are in its bytes, to show a record in its payload.

The bytes are those that are kept: as received, after content decoding. A record that is not one stretch of bytes has
no span, and the spans say why.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from tidemill.decode.cut import WHITE
from tidemill.decode.cut_columns import ColumnCut
from tidemill.decode.locate import ByteSpan

NOT_CUT: Final = "The payload cannot be cut into records, so that none has bytes of its own."
COLUMNS: Final = "Its values are in arrays, one for each member, so that the record is no one stretch of bytes."
DECODED: Final = "A decoder of another package makes the records of such payloads, and does not say where they are."


class RecordSpans(msgspec.Struct, frozen=True):
    """[start, end) of each record in the bytes of a payload; `why` records have none, or None. `cut`: the arrays of a
    document of columns. `listed`: the records are in a list, or are lines. `binary`: they are no texts."""

    body: bytes
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    shift: int = 0
    why: str | None = None
    cut: ColumnCut | None = None
    listed: bool = True
    binary: bool = False

    def __len__(self) -> int:
        return len(self.starts) if self.cut is None else len(self.cut)

    def span(self, index: int) -> ByteSpan | None:
        """The bytes of a record, of a text without white space around it; None where it has none."""
        if index >= len(self.starts):
            return None
        start, end = self.starts[index] + self.shift, self.ends[index] + self.shift
        if self.binary:
            return ByteSpan(start, end)
        piece = self.body[start:end]
        left = len(piece) - len(piece.lstrip(WHITE))
        return ByteSpan(start + left, max(start + left, end - (len(piece) - len(piece.rstrip(WHITE)))))

    def parts(self, index: int) -> list[tuple[str, ByteSpan]]:
        """The path and the bytes of each member of the record that is an item of a document of columns; those that
        hold for each record are among them. [] for other payloads."""
        cut = self.cut
        if cut is None:
            return []
        slot = int(np.searchsorted(cut.items, index))
        if slot == len(cut) or cut.items[slot] != index:
            return []
        parts = []
        for member in cut.members:
            item = index if member.listed else 0
            path = f"{member.path}[{index}]" if member.listed else member.path
            parts.append((path, ByteSpan(member.starts[item] + self.shift, member.ends[item] + self.shift)))
        return parts


def layout_spans(body: bytes, form: str, header_bytes: int, record_bytes: int) -> RecordSpans:
    """The spans of binary records. Of base64 and hexadecimal digits a record has all characters that hold a bit of it:
    of base64 the first and the last may hold bits of its neighbours as well."""
    octets = np.frombuffer(body, np.uint8)
    if form == "binary":
        count = max(0, len(body) - header_bytes) // record_bytes
        starts = header_bytes + np.arange(count) * record_bytes
        return RecordSpans(body, starts.tolist(), (starts + record_bytes).tolist(), binary=True)
    signs = np.flatnonzero(~np.isin(octets, np.frombuffer(WHITE, np.uint8)))
    digits = signs[octets[signs] != ord("=")]
    size = len(digits) // 2 if form == "hex" else len(digits) * 3 // 4
    starts = header_bytes + np.arange(max(0, size - header_bytes) // record_bytes) * record_bytes
    ends = starts + record_bytes
    first, last = (starts * 2, ends * 2) if form == "hex" else (starts * 4 // 3, -(-ends * 4 // 3))
    return RecordSpans(body, digits[first].tolist(), (digits[last - 1] + 1).tolist(), binary=True)
