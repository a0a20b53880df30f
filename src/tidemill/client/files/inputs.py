"""The files that the arguments of `tidemill import` name, and how each is opened: plain, gzip, zstd, standard input.

A folder stands for the files below it whose names end as a known format's do, in the order of their names.
"""

import glob
import gzip
import importlib
import io
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from tidemill.errors import InputError, MissingPackageError

STANDARD_INPUT: Final = "-"
SUFFIXES: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".lp": "line-protocol",
    ".line": "line-protocol",
    ".db": "home-assistant",
    ".xml": "green-button",
}
_PACKED: Final = (".gz", ".zst")
_HEAD_BYTES: Final = 4096
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class InputFile(msgspec.Struct, frozen=True):
    """A file to import. `name` is what messages call the file; `path` null: standard input."""

    name: str
    path: Path | None

    @property
    def identity(self) -> str:
        """What tells the file apart from another one with the same bytes: its absolute path."""
        return STANDARD_INPUT if self.path is None else str(self.path.resolve())

    @property
    def kind(self) -> str | None:
        """The format that the end of the name stands for; null: none that is known."""
        suffixes = [suffix.lower() for suffix in (self.path.suffixes if self.path else ())]
        kept = [suffix for suffix in suffixes if suffix not in _PACKED]
        return SUFFIXES.get(kept[-1]) if kept else None


class InputStream(msgspec.Struct):
    """An open file: `stream` gives its bytes unpacked, `raw` says how far the file itself was read, `size` is its size
    in bytes (0: not known)."""

    stream: BinaryIO
    raw: BinaryIO
    size: int

    @property
    def done(self) -> int:
        """How many bytes of the file were read (of standard input: unpacked bytes)."""
        return self.raw.tell() if self.size else self.stream.tell()


def list_inputs(paths: Iterable[str]) -> tuple[list[InputFile], list[Path]]:
    """The files that paths, folders and patterns name, each once, and the files of folders that are of no known format.
    Raises InputError for a path where nothing is."""
    inputs: dict[str, InputFile] = {}
    others: list[Path] = []
    for text in paths:
        if text == STANDARD_INPUT:
            inputs[text] = InputFile("standard input", None)
            continue
        for path in _named(text):
            below = sorted(member for member in path.rglob("*") if member.is_file()) if path.is_dir() else [path]
            for member in below:
                file = InputFile(str(member), member)
                if path.is_dir() and (file.kind is None or member.name.startswith(".")):
                    others.append(member)
                else:
                    inputs.setdefault(file.identity, file)
    return list(inputs.values()), others


def _named(text: str) -> list[Path]:
    if Path(text).exists():
        return [Path(text)]
    matching = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 - also absolute ones
    if not matching:
        raise InputError(f"There is no file '{text}'. Name files, folders, patterns such as 'data/*.csv', or - .")
    return matching


@contextmanager
def open_input(file: InputFile, *, seekable: bool = False) -> Iterator[InputStream]:
    """The bytes of a file, unpacked if they are gzip or zstd. `seekable`: the stream can be read twice; what cannot is
    copied to a temporary file. Raises InputError for a file that cannot be read."""
    try:
        raw = cast("BinaryIO", sys.stdin.buffer) if file.path is None else file.path.open("rb")
    except OSError as error:
        raise unreadable(file, error) from None
    size = 0 if file.path is None else file.path.stat().st_size
    try:
        stream = _unpacked(raw)
        if seekable and (file.path is None or stream is not raw):
            with tempfile.TemporaryFile() as copy:
                while piece := stream.read(1 << 20):
                    copy.write(piece)
                copy.seek(0)
                yield InputStream(cast("BinaryIO", copy), cast("BinaryIO", copy), size)
        else:
            yield InputStream(stream, raw, size)
    except (OSError, EOFError) as error:
        raise unreadable(file, error) from None
    finally:
        if file.path is not None:
            raw.close()


def unreadable(file: InputFile, error: Exception) -> InputError:
    """The error of a file that cannot be read, or not to its end."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    hint = " It ends in the middle: fetch the file again." if isinstance(error, EOFError) else ""
    return InputError(f"{file.name} cannot be read: {why}.{hint}")


def first_bytes(file: InputFile) -> bytes:
    """The first bytes of a file, unpacked; of standard input, which is read once, only if they are not packed. Raises
    InputError."""
    if file.path is None:
        peek: Any = getattr(sys.stdin.buffer, "peek", None)
        return bytes(peek(_HEAD_BYTES)[:_HEAD_BYTES]) if peek else b""
    with open_input(file) as opened:
        return opened.stream.read(_HEAD_BYTES)


def _unpacked(raw: BinaryIO) -> BinaryIO:
    """The stream that undoes gzip or zstd, if the file is packed. Raises MissingPackageError."""
    peek = getattr(raw, "peek", None)
    head: bytes = peek(4)[:4] if peek is not None else b""
    if head.startswith(_GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    if head == _ZSTD:
        try:
            zstandard: Any = importlib.import_module("zstandard")
        except ModuleNotFoundError:
            raise MissingPackageError("A zstd file needs zstandard: pip install zstandard.") from None
        reader: Any = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return cast("BinaryIO", io.BufferedReader(reader, 1 << 20))
    return raw
