"""Repairs a SQLite WAL in which one bit was flipped, so that the commits after it are not lost.

SQLite reads a WAL up to the first frame that does not match its checksum, and ignores the rest. The checksum is linear
(https://sqlite.org/fileformat2.html, section 4.2), so it identifies the bits that can have been flipped. One such bit
is taken back. If there are several, the page stays as it is and the checksums are computed anew: entries in the page
have better checksums of their own. Only for a file that nobody has open.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tidemill.durable import replace_file
from tidemill.flips import flipped_bits

_HEADER: Final = 32
_FRAME: Final = 24
_MAGIC: Final = (0x377F0682, 0x377F0683)  # checksums over little-endian words, over big-endian words
_VERSION: Final = 3_007_000
_PAGE_SIZES: Final = frozenset(1 << power for power in range(9, 17))
_MASK: Final = 0xFFFFFFFF
Sum = tuple[int, int]


def repair_wal(path: Path) -> bool:
    """Repair the WAL at `path`, durably; returns whether it was repaired. About 0.1 s a MiB."""
    if not path.exists():
        return False
    content = repaired_wal(path.read_bytes())
    if content is None:
        return False
    path.with_name(path.name.removesuffix("-wal") + "-shm").unlink(missing_ok=True)  # it counts the frames as they were
    replace_file(path, content)
    return True


def repaired_wal(content: bytes) -> bytes | None:
    """The content of a WAL with one flipped bit repaired; None: the WAL needs no repair, or more than one bit is wrong,
    as at the end of a WAL after a power cut."""
    if len(content) < _HEADER:
        return None
    if not _is_header(content[:_HEADER]):
        return _with_header(content)
    cursor = _WalCursor(content)
    while (frame := cursor.frame()) is not None:
        after = cursor.sum_of(frame)
        matches = frame[16:_FRAME] == struct.pack(">2I", *after)
        if frame[8:16] != cursor.salt:
            one_bit = _bit_distance(frame[8:16], cursor.salt) == 1
            return cursor.replaced(frame[:8] + cursor.salt + frame[16:]) if matches and one_bit else None
        if not matches:
            return _with_frame(cursor, frame, after)
        cursor.advance(after)
    return None


class _WalCursor:
    """The start of a frame in a WAL; `running` is the checksum of everything before it."""

    def __init__(self, content: bytes) -> None:
        magic, _, page_size, _, _, _, first, second = struct.unpack(">8I", content[:_HEADER])
        self.order = "<" if magic == _MAGIC[0] else ">"
        self.salt = content[16:24]
        self.start, self.running = _HEADER, (first, second)
        self._content, self._size = content, _FRAME + page_size

    def frame(self) -> bytes | None:
        """The frame at the cursor; None: no whole frame follows."""
        frame = self._content[self.start : self.start + self._size]
        return frame if len(frame) == self._size else None

    def sum_of(self, frame: bytes) -> Sum:
        """The checksum that a frame at the cursor must have."""
        return _checksum(_summed(frame), self.order, self.running)

    def advance(self, running: Sum) -> None:
        """Move to the next frame; `running` is the checksum of this one."""
        self.start, self.running = self.start + self._size, running

    def replaced(self, frame: bytes) -> bytes:
        """The content of the WAL with another frame at the cursor."""
        return self._content[: self.start] + frame + self._content[self.start + self._size :]

    def fits(self, running: Sum, *, following: bool) -> bool:
        """Whether the frame at the cursor (`following`: the frame after it) continues from a checksum; true also if
        there is no such frame."""
        begin = self.start + self._size * following
        frame = self._content[begin : begin + self._size]
        if len(frame) < self._size or frame[8:16] != self.salt:
            return True
        return frame[16:_FRAME] == struct.pack(">2I", *_checksum(_summed(frame), self.order, running))


def _with_header(content: bytes) -> bytes | None:
    """The WAL with a header that fits the first frame; the header's weak checksum alone allows several."""
    for right in flipped_bits(content[:_HEADER]):
        if _is_header(right):
            cursor = _WalCursor(right + content[_HEADER:])
            frame = cursor.frame()
            if frame is not None and frame[8:16] == cursor.salt and cursor.fits(cursor.running, following=False):
                return right + content[_HEADER:]
    return None


def _with_frame(cursor: _WalCursor, frame: bytes, after: Sum) -> bytes | None:
    """The WAL with a frame that matches its checksum, or with a checksum that matches its frame."""
    stored: Sum = struct.unpack(">2I", frame[16:_FRAME])
    sealed = frame[:16] + struct.pack(">2I", *after) + frame[_FRAME:]
    if _bit_distance(frame[16:_FRAME], sealed[16:_FRAME]) == 1 and cursor.fits(after, following=True):
        return cursor.replaced(sealed)
    candidates = _candidates(cursor, frame, stored, after)
    if len(candidates) == 1:
        return cursor.replaced(candidates[0])
    if not candidates:
        return None  # more than one bit: a power cut may have torn the frame before its commit was acknowledged
    return _with_new_checksums(cursor, sealed, stored, after)


def _candidates(cursor: _WalCursor, frame: bytes, stored: Sum, after: Sum) -> list[bytes]:
    """The frames that differ from this one in one bit and match the stored checksum."""
    data, frames = _summed(frame), []
    if not cursor.fits(stored, following=True):
        return []
    off = ((stored[0] - after[0]) & _MASK, (stored[1] - after[1]) & _MASK)
    for byte, bit in _suspect_bits(len(data), off, cursor.order):
        mended = data[:byte] + bytes([data[byte] ^ (1 << bit)]) + data[byte + 1 :]
        if _checksum(mended, cursor.order, cursor.running) == stored:
            frames.append(mended[:8] + frame[8:_FRAME] + mended[8:])
    return frames


def _with_new_checksums(cursor: _WalCursor, sealed: bytes, stored: Sum, after: Sum) -> bytes:
    """The WAL with this frame as it is, and with new checksums of all later frames that match their old checksums."""
    content = cursor.replaced(sealed)
    cursor.advance(stored)
    while (frame := cursor.frame()) is not None and frame[8:16] == cursor.salt:
        now = cursor.sum_of(frame)
        if frame[16:_FRAME] != struct.pack(">2I", *now):
            break
        after = _checksum(_summed(frame), cursor.order, after)
        start = cursor.start
        content = content[: start + 16] + struct.pack(">2I", *after) + content[start + _FRAME :]
        cursor.advance(now)
    return content


def _bit_distance(left: bytes, right: bytes) -> int:
    """The number of bits in which two byte strings of one length differ."""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_count()


def _suspect_bits(size: int, off: Sum, order: str) -> Iterator[tuple[int, int]]:
    """(byte, bit) of each bit that changes the checksum of `size` bytes by `off`, up or down."""
    words = [(1, 1), (0, 1)]  # what an increment of the first, of the second word of a pair adds to the two sums
    for pair in range(size // 8 - 1, -1, -1):
        for word, (to_first, to_second) in enumerate(words):
            for bit in range(32):
                step = ((to_first << bit) & _MASK, (to_second << bit) & _MASK)
                if off in (step, (-step[0] & _MASK, -step[1] & _MASK)):
                    yield pair * 8 + word * 4 + (bit // 8 if order == "<" else 3 - bit // 8), bit % 8
        words = [((first + second) & _MASK, (first + 2 * second) & _MASK) for first, second in words]


def _summed(frame: bytes) -> bytes:
    """The bytes of a frame that its checksum covers."""
    return frame[:8] + frame[_FRAME:]


def _is_header(header: bytes) -> bool:
    magic, version, page_size = struct.unpack(">3I", header[:12])
    if magic not in _MAGIC or version != _VERSION or page_size not in _PAGE_SIZES:
        return False
    order = "<" if magic == _MAGIC[0] else ">"
    return header[24:] == struct.pack(">2I", *_checksum(header[:24], order, (0, 0)))


def _checksum(data: bytes, order: str, start: Sum) -> Sum:
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
