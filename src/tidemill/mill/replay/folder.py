"""The files of a replay on disk: frames, each written whole or not at all. So a mill that was killed continues the
replay where it was, and a plan is published whole."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec
import polars as pl

from tidemill.durable import sync_folder
from tidemill.mill.state_files import write_atomically

_T = TypeVar("_T")


class Folder:
    """The folder of one replay; made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Whether a frame or a struct of that name was written."""
        return (self.path / name).exists()

    def write_frame(self, name: str, frame: pl.DataFrame) -> None:
        """Write a frame, durable on return."""
        with self._draft(name) as file:
            frame.write_ipc(file)

    def write_bytes(self, name: str, content: Iterable[bytes]) -> None:
        """Write the bytes of a frame, which come in parts; durable on return."""
        with self._draft(name) as file:
            file.writelines(content)

    @contextmanager
    def _draft(self, name: str) -> Iterator[BinaryIO]:
        self.path.mkdir(parents=True, exist_ok=True)
        draft = self.path / f"{name}.draft"
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path / name)
        sync_folder(self.path)

    def paths(self, prefix: str) -> list[Path]:
        """The files of every frame whose name begins so, by name."""
        return sorted(path for path in self.path.glob(f"{prefix}*") if not path.name.endswith((".draft", ".new")))

    def read_frame(self, name: str) -> pl.DataFrame:
        """A frame that was written."""
        return pl.read_ipc((self.path / name).read_bytes())

    def read_frames(self, prefix: str) -> Iterator[pl.DataFrame]:
        """Every frame whose name begins so, by name."""
        for path in self.paths(prefix):
            yield pl.read_ipc(path.read_bytes())

    def count_rows(self, prefix: str) -> int:
        """How many rows there are in all frames whose name begins so."""
        return sum(int(pl.scan_ipc(path).select(pl.len()).collect().item()) for path in self.paths(prefix))

    def write_struct(self, name: str, value: Any) -> None:
        """Write a struct, durable on return."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, msgspec.json.encode(value), durable=True)

    def read_struct(self, name: str, kind: type[_T]) -> _T:
        """A struct that was written."""
        return msgspec.json.decode((self.path / name).read_bytes(), type=kind)

    def drop(self, name: str) -> None:
        """Remove a frame or a struct, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)
