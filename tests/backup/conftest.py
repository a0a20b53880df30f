"""A small data folder with real parts, and a backup of it."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.log.payloads import payload
from tests.support.engine import running_engine
from tidemill.backup.take import take_backup
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.cli.backup import freeze_stopped
from tidemill.log.sqlite import SqliteLog
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state_files import FileMillState
from tidemill.service import feed_texts
from tidemill.store.client import Store
from tidemill.store.migrate import migrate

ENTRIES = 5


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that no server works on: five payloads in its log, three of them applied, a row in its store."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with running_engine(folder / "store", database="tidemill") as address:
        migrate(address)
        store = Store(address)
        rows = {"tenant": ["default"], "feed": ["location"], "seq": [3], "idx": [0], "series": [1], "deletion": [3]}
        types = {"seq": pl.UInt64, "idx": pl.UInt32, "series": pl.UInt64, "deletion": pl.UInt64}
        store.insert("deleted_records", pl.DataFrame(rows, schema_overrides=types))
        store.close()
    log = SqliteLog(folder / "log")
    for number in range(ENTRIES):
        log.append(payload(b"%d" % number)).result(10)
    log.close()
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    feed_texts(catalog)
    catalog.close()
    FileMillState(folder / "mill").save_progress(PartitionProgress(3))
    frames = folder / "mill" / "replays" / "default" / "a-replay"
    frames.mkdir(parents=True)
    (frames / "points-0").write_bytes(b"a frame")
    return folder


@pytest.fixture(scope="session")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it, as a folder. Not to be changed."""
    return take_backup(made, tmp_path_factory.mktemp("backups"), freeze_stopped(made)).path


@pytest.fixture(scope="session")
def archive(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it, as a file. Not to be changed."""
    return take_backup(made, tmp_path_factory.mktemp("archives") / "whole.tar.zst", freeze_stopped(made)).path


@pytest.fixture
def backup(whole: Path, tmp_path: Path) -> Path:
    """A copy of the backup, in a folder of backups of its own."""
    copy = tmp_path / "backups" / whole.name
    shutil.copytree(whole, copy)
    return copy
