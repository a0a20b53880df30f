"""Keeps a copy of the engine's small files that have no checksum of their own (what tables there are, in SQL), and puts
one of them back when a single bit of it was flipped: with it the engine would not start, or take a table for another.

A file that differs from its copy in more than a bit was changed by the engine, and is copied anew.
"""

import hashlib
import logging
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "metadata.json"
_log = logging.getLogger(__name__)


class Copy(msgspec.Struct, frozen=True):
    """A file's content and its SHA-256 in hexadecimal, which says whether the copy itself is whole."""

    content: bytes
    sha256: str

    @property
    def whole(self) -> bool:
        """Whether the copy is what was copied."""
        return hashlib.sha256(self.content).hexdigest() == self.sha256


def restore(folder: Path) -> list[str]:
    """Put back the files under `folder`/chdb of which a single bit differs from its copy; their names. Call it before
    the engine is opened."""
    restored = []
    for name, copy in _read(folder / FILE).items():
        path = folder / "chdb" / name
        try:
            now = path.read_bytes()
        except OSError:
            continue
        if copy.whole and _one_bit(now, copy.content):
            path.write_bytes(copy.content)
            restored.append(name)
            _log.error("one bit of the store's %s was flipped, and is put back", name)
    return restored


def keep(folder: Path) -> None:
    """Copy the files as they are. Call it when the engine is open: then they are good. Raises OSError."""
    copies = {
        str(path.relative_to(folder / "chdb")): Copy(content, hashlib.sha256(content).hexdigest())
        for path in _small(folder / "chdb")
        for content in [path.read_bytes()]
    }
    content = msgspec.json.encode(copies)
    path = folder / FILE
    if not path.exists() or path.read_bytes() != content:
        draft = folder / f"{FILE}.new"
        draft.write_bytes(content)
        draft.replace(path)


def _small(chdb: Path) -> list[Path]:
    tables = [*chdb.glob("metadata/*.sql"), *chdb.glob("store/*/*/*.sql"), *chdb.glob("store/*/*/format_version.txt")]
    return sorted(path for path in tables if path.is_file() and not path.is_symlink())


def _read(path: Path) -> dict[str, Copy]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Copy])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _one_bit(one: bytes, other: bytes) -> bool:
    if len(one) != len(other):
        return False
    return sum((left ^ right).bit_count() for left, right in zip(one, other, strict=True)) == 1
