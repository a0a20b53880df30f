"""The journal of an import: the keys of the chunks that a server has taken, so that a next run leaves them out.

A journal is of one server, feed, key and label. It is a memory of ours alone: without it the same chunks are sent
again, and the server recognises each by its Idempotency-Key for seven days. A line is written once the server has
acknowledged; a torn last line counts as not written. The file is locked: two runs at once would send in no order.
"""

import fcntl
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import IO, Self

from tidemill.errors import InputError


def state_folder(environment: Mapping[str, str]) -> Path:
    """Where journals are kept: `$XDG_STATE_HOME/tidemill/imports`, by default below `~/.local/state`."""
    base = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(base) / "tidemill" / "imports"


class ImportJournal:
    """The keys that were taken, each with its receipt. Used by one process."""

    def __init__(self, folder: Path, *of: str) -> None:
        """Opens the journal of what `of` names, and locks it. Raises InputError where it cannot be written, or another
        import holds it."""
        name = sha256("\n".join(of).encode()).hexdigest()[:24]
        self.path = folder / f"{name}.keys"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file: IO[str] = self.path.open("a+", encoding="ascii", errors="replace")
        except OSError as error:
            why = f"{error.strerror}: '{self.path}'"
            raise InputError(f"What was sent cannot be remembered ({why}); name another folder with --state") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise InputError("Another import into this feed is running; wait for its end.") from None
        self._file.seek(0)
        pairs = [line.split() for line in self._file if line.endswith("\n")]
        self._receipts = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
        self._file.seek(0, os.SEEK_END)
        if pairs:
            self._file.write("\n")  # behind a line that was torn

    def __contains__(self, key: str) -> bool:
        return key in self._receipts

    def __len__(self) -> int:
        return len(self._receipts)

    @property
    def last_receipt(self) -> str | None:
        """The receipt of the newest chunk that was taken; null: none was."""
        return next(reversed(self._receipts.values()), None)

    def add(self, key: str, receipt: str) -> None:
        """Note that the server has taken a chunk."""
        self._receipts[key] = receipt
        self._file.write(f"{key} {receipt}\n")
        self._file.flush()

    def clear(self) -> None:
        """Forget everything: the server does not have it."""
        self._receipts.clear()
        self._file.truncate(0)

    def close(self) -> None:
        """Close and unlock the journal."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
