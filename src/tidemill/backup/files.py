"""Files of a backup: hashes, copies, writes and syncs them; reads files in pieces."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

PIECE: Final = 1 << 20


@contextmanager
def private_umask() -> Iterator[None]:
    """Make new files and folders readable for this user alone inside the `with` block, because backups and data folders
    hold keys and measurements."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def no_progress(_: int) -> None:
    """Ignore progress."""


def digest_file(source: Path, progress: Callable[[int], None] = no_progress) -> tuple[int, str]:
    """The size and the SHA-256 (hexadecimal) of a file. Raises OSError."""
    with source.open("rb") as content:
        return copy_stream(content, None, progress)


def copy_file(source: Path, target: Path, progress: Callable[[int], None] = no_progress) -> tuple[int, str]:
    """Copy a file to a new file that this user alone may read; returns size and SHA-256. Raises OSError."""
    with source.open("rb") as content, create_file(target) as into:
        return copy_stream(content, into, progress)


def create_file(path: Path) -> IO[bytes]:
    """Create a file that this user alone may read, and open it for writing. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def copy_stream(
    content: IO[bytes], into: IO[bytes] | None, progress: Callable[[int], None] = no_progress
) -> tuple[int, str]:
    """Read `content` to its end and write it to `into` if given; returns size and SHA-256 (hexadecimal)."""
    size, sha256 = 0, hashlib.sha256()
    while piece := content.read(PIECE):
        sha256.update(piece)
        if into is not None:
            into.write(piece)
        size += len(piece)
        progress(len(piece))
    return size, sha256.hexdigest()


def write_file(path: Path, content: bytes) -> None:
    """Write a new file whose content is durable, but not yet its name. Raises OSError."""
    with create_file(path) as file:
        file.write(content)
    sync_file(path)


def sync_file(path: Path) -> None:
    """Force the content of a file to disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
