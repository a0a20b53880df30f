"""One owner for a data folder."""

import os
from pathlib import Path

import pytest

from tidemill.errors import StartupError
from tidemill.lock import FolderLock


def test_second_lock_is_refused_with_the_owners_process_id(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(StartupError, match=rf"pid {os.getpid()}\b"):
        FolderLock(tmp_path)
    FolderLock(tmp_path, "other.lock").release()
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()
