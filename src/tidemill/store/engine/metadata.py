"""Copies the engine's small files that have no checksum of their own (the tables' definitions in SQL), and restores a
file in which a single bit was flipped: with it the engine would not start, or mistake a table for another.

A file that differs from its copy in more than a bit, or was written since, was changed by the engine, and is copied
anew. A file that differs though it was not written since was damaged while the engine runs: its copy is kept.
"""

import hashlib
import logging
import os
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "metadata.json"
_log = logging.getLogger(__name__)


class Copy(msgspec.Struct, frozen=True):
    """A file's content and its SHA-256 in hexadecimal, which proves the copy itself. `written_ns`: when the file was
    last written."""

    content: bytes
    sha256: str
    written_ns: int = 0

    @property
    def whole(self) -> bool:
        """Whether the content still matches its SHA-256."""
        return hashlib.sha256(self.content).hexdigest() == self.sha256


def restore_metadata(folder: Path) -> list[str]:
    """Restore the files under `folder`/chdb of which a single bit differs from the copy; returns their names. Call it
    before the engine is opened."""
    restored = []
    for name, copy in _read(folder / FILE).items():
        path = folder / "chdb" / name
        try:
            now = path.read_bytes()
        except OSError:
            continue
        if copy.whole and _one_bit(now, copy.content):
            replace_small_file(folder, path, copy.content)
            restored.append(name)
            _log.error("one bit of the store's %s was flipped, and is put back", name)
    return restored


def copy_metadata(folder: Path) -> None:
    """Copy the files as they are. Call it when the engine is open, which proves that they are good. Raises OSError."""
    before = _read(folder / FILE)
    copies = {}
    for path in _small(folder / "chdb"):
        name = str(path.relative_to(folder / "chdb"))
        copies[name] = _current_copy(path, before.get(name))
    if copies != before:
        replace_small_file(folder, folder / FILE, msgspec.json.encode(copies))


def _current_copy(path: Path, before: Copy | None) -> Copy:
    """The copy `before` if the file was not written since; else a new copy. Raises OSError."""
    written_ns = path.stat().st_mtime_ns
    if before is not None and before.written_ns == written_ns and before.whole:
        return before
    content = path.read_bytes()
    return Copy(content, hashlib.sha256(content).hexdigest(), written_ns)


def replace_small_file(folder: Path, path: Path, content: bytes) -> None:
    """Write a file under `folder` so that a crash leaves the old or the new content, and no other file that the engine
    would read. Raises OSError."""
    draft = folder / "small-file.new"
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _small(chdb: Path) -> list[Path]:
    tables = [*chdb.glob("metadata/*.sql"), *chdb.glob("store/*/*/*.sql"), *chdb.glob("store/*/*/format_version.txt")]
    return sorted(path for path in tables if path.is_file() and not path.is_symlink())


def _read(path: Path) -> dict[str, Copy]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Copy])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _one_bit(left: bytes, right: bytes) -> bool:
    if len(left) != len(right):
        return False
    return sum((a ^ b).bit_count() for a, b in zip(left, right, strict=True)) == 1
