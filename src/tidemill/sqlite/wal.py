"""Repairs a WAL of SQLite in which one bit was flipped, so that the commits behind it are not lost.

SQLite reads a WAL up to the first frame that does not match its checksum and forgets the rest. The checksum is linear
(https://sqlite.org/fileformat2.html, section 4.2), so it names the bits that can have been flipped. Where it names one
alone, that is taken back. Where it names several, the page stays as it is and the checksums are made to fit: what the
page holds has better checksums of its own. Only for a file that nobody has open.
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


def mend(path: Path) -> bool:
    """Repair the WAL at `path`, durably; whether there was anything to repair. About 0.1 s a MiB."""
    if not path.exists():
        return False
    content = repaired(path.read_bytes())
    if content is None:
        return False
    path.with_name(path.name.removesuffix("-wal") + "-shm").unlink(missing_ok=True)  # it counts the frames as they were
    replace_file(path, content)
    return True


def repaired(content: bytes) -> bytes | None:
    """A WAL without the damage because of which it ends before its last frame; None: there is none, or the WAL just
    ends there, as after a power cut."""
    if len(content) < _HEADER:
        return None
    if not _is_header(content[:_HEADER]):
        return _with_header(content)
    walk = _WalCursor(content)
    while (frame := walk.frame()) is not None:
        after = walk.sum_of(frame)
        matches = frame[16:_FRAME] == struct.pack(">2I", *after)
        if frame[8:16] != walk.salt:
            one_bit = _apart(frame[8:16], walk.salt) == 1
            return walk.replaced(frame[:8] + walk.salt + frame[16:]) if matches and one_bit else None
        if not matches:
            return _with_frame(walk, frame, after)
        walk.go_on(after)
    return None


class _WalCursor:
    """A place between two frames of a WAL: `running` is the checksum of all before."""

    def __init__(self, content: bytes) -> None:
        magic, _, page_size, _, _, _, first, second = struct.unpack(">8I", content[:_HEADER])
        self.order = "<" if magic == _MAGIC[0] else ">"
        self.salt = content[16:24]
        self.start, self.running = _HEADER, (first, second)
        self._content, self._size = content, _FRAME + page_size

    def frame(self) -> bytes | None:
        """The frame here; None: there is no whole one."""
        frame = self._content[self.start : self.start + self._size]
        return frame if len(frame) == self._size else None

    def sum_of(self, frame: bytes) -> Sum:
        """The checksum that a frame here must have."""
        return _checksum(_summed(frame), self.order, self.running)

    def go_on(self, running: Sum) -> None:
        """Step over a frame."""
        self.start, self.running = self.start + self._size, running

    def replaced(self, frame: bytes) -> bytes:
        """The WAL with another frame here."""
        return self._content[: self.start] + frame + self._content[self.start + self._size :]

    def fits(self, running: Sum, *, behind: bool) -> bool:
        """Whether the frame here (`behind`: the one behind it) goes on from a checksum, or is none."""
        begin = self.start + self._size * behind
        frame = self._content[begin : begin + self._size]
        if len(frame) < self._size or frame[8:16] != self.salt:
            return True
        return frame[16:_FRAME] == struct.pack(">2I", *_checksum(_summed(frame), self.order, running))


def _with_header(content: bytes) -> bytes | None:
    """With a header that agrees with the first frame: its own weak checksum allows several."""
    for right in flipped_bits(content[:_HEADER]):
        if _is_header(right):
            walk = _WalCursor(right + content[_HEADER:])
            frame = walk.frame()
            if frame is not None and frame[8:16] == walk.salt and walk.fits(walk.running, behind=False):
                return right + content[_HEADER:]
    return None


def _with_frame(walk: _WalCursor, frame: bytes, after: Sum) -> bytes | None:
    """With a frame that matches its checksum, or a checksum that matches its frame."""
    said: Sum = struct.unpack(">2I", frame[16:_FRAME])
    sealed = frame[:16] + struct.pack(">2I", *after) + frame[_FRAME:]
    if _apart(frame[16:_FRAME], sealed[16:_FRAME]) == 1 and walk.fits(after, behind=True):
        return walk.replaced(sealed)
    candidates = _candidates(walk, frame, said, after)
    if len(candidates) == 1:
        return walk.replaced(candidates[0])
    if not candidates:
        return None  # more than a bit: it may be torn by a power cut, before anybody was told that it is durable
    return _sealed_anew(walk, sealed, said, after)


def _candidates(walk: _WalCursor, frame: bytes, said: Sum, after: Sum) -> list[bytes]:
    """The frames that differ in one bit of what the checksum is of, and match it."""
    data, found = _summed(frame), []
    if not walk.fits(said, behind=True):
        return []
    off = ((said[0] - after[0]) & _MASK, (said[1] - after[1]) & _MASK)
    for byte, bit in _suspects(len(data), off, walk.order):
        mended = data[:byte] + bytes([data[byte] ^ (1 << bit)]) + data[byte + 1 :]
        if _checksum(mended, walk.order, walk.running) == said:
            found.append(mended[:8] + frame[8:_FRAME] + mended[8:])
    return found


def _sealed_anew(walk: _WalCursor, sealed: bytes, said: Sum, after: Sum) -> bytes:
    """With this frame as it is, and all checksums from here on made anew; of frames that match the old ones only."""
    content = walk.replaced(sealed)
    walk.go_on(said)
    while (frame := walk.frame()) is not None and frame[8:16] == walk.salt:
        now = walk.sum_of(frame)
        if frame[16:_FRAME] != struct.pack(">2I", *now):
            break
        after = _checksum(_summed(frame), walk.order, after)
        start = walk.start
        content = content[: start + 16] + struct.pack(">2I", *after) + content[start + _FRAME :]
        walk.go_on(now)
    return content


def _apart(one: bytes, other: bytes) -> int:
    """In how many bits two texts differ."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def _suspects(size: int, off: Sum, order: str) -> Iterator[tuple[int, int]]:
    """(byte, bit) of what changes the checksum of `size` bytes by `off`, up or down."""
    words = [(1, 1), (0, 1)]  # what one more in the first, in the second word of a pair adds to the sums
    for pair in range(size // 8 - 1, -1, -1):
        for place, (to_first, to_second) in enumerate(words):
            for bit in range(32):
                step = ((to_first << bit) & _MASK, (to_second << bit) & _MASK)
                if off in (step, (-step[0] & _MASK, -step[1] & _MASK)):
                    yield pair * 8 + place * 4 + (bit // 8 if order == "<" else 3 - bit // 8), bit % 8
        words = [((first + second) & _MASK, (first + 2 * second) & _MASK) for first, second in words]


def _summed(frame: bytes) -> bytes:
    """What of a frame its checksum is of."""
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
