"""Records a digest of every small file of every part, and corrects a single flipped bit in such a file before the
engine opens it, because the engine checks the checksums of few of them. With a row count that is one too high the
engine reads values that were never written, without an error.

A part is never changed, so its digests are made once. A file that differs in more than a bit is left to the engine,
which sets the part aside, and to `tidemill verify`.
"""

import hashlib
import logging
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tidemill.flips import MAX_BYTES, find_unflipped
from tidemill.store.engine.metadata import replace_small_file

FILE: Final = "parts.json"
Digests = dict[str, str]  # by file, in hexadecimal
_PART: Final = re.compile(r"(?!tmp_|delete_tmp_)\w+_\d+_\d+_\d+(?:_\d+)?")
_MAX_MISSES: Final = 20  # parts that differ in more than a bit (up to 0.1 s each): more means another store
_log = logging.getLogger(__name__)


def restore_part_files(folder: Path) -> list[str]:
    """Correct single flipped bits in files of the parts under `folder`/chdb; returns the files' names. Call it before
    the engine is opened. Raises OSError."""
    restored = []
    known = _read(folder / FILE)
    whole: dict[str, Digests] = {}
    misses = 0
    for name, digests in known.items():
        part = folder / "chdb" / "store" / name
        if not part.is_dir() or misses > _MAX_MISSES:
            continue
        mended = _mended(part, digests)
        if mended is None:  # its digests are made anew
            misses += 1
            continue
        whole[name] = digests
        for file, content in mended.items():
            replace_small_file(folder, part / file, content)
            restored.append(f"{name}/{file}")
            _log.error("one bit of the store's %s/%s was flipped, and is put back", name, file)
    if whole != known:
        with suppress(OSError):  # a full disk: the next start tries again
            replace_small_file(folder, folder / FILE, msgspec.json.encode(whole))
    return restored


def record_digests(folder: Path) -> None:
    """Make the digests of new parts, and drop those of parts that were removed. Call it when the engine is open, or was
    open, which proves that the files are good. Raises OSError."""
    known = _read(folder / FILE)
    parts = {str(part.relative_to(folder / "chdb" / "store")): part for part in _parts(folder)}
    digests = {name: known.get(name) or _digests(part) for name, part in parts.items()}
    if digests != known:
        replace_small_file(folder, folder / FILE, msgspec.json.encode(digests))


def _parts(folder: Path) -> list[Path]:
    return [part for part in sorted((folder / "chdb" / "store").glob("*/*/*_*")) if _PART.fullmatch(part.name)]


def _digests(part: Path) -> Digests:
    """The digests of a part's small files; {} if the engine removes the part meanwhile."""
    try:
        small = [path for path in sorted(part.iterdir()) if path.is_file() and path.stat().st_size <= MAX_BYTES]
        return {path.name: _digest(path.read_bytes()) for path in small}
    except FileNotFoundError:
        return {}


def _mended(part: Path, digests: Digests) -> dict[str, bytes] | None:
    """The corrected content of a part's files with a flipped bit; None: a file differs in more than a bit."""
    mended = {}
    for file, digest in digests.items():
        try:
            now = (part / file).read_bytes()
        except OSError:
            return None
        if _digest(now) == digest:
            continue
        right = _unflipped(now, digest)
        if right is None:
            return None
        mended[file] = right
    return mended


def _unflipped(content: bytes, digest: str) -> bytes | None:
    return find_unflipped(content, lambda candidate: _digest(candidate) == digest)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _read(path: Path) -> dict[str, Digests]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Digests])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
