"""`tidemill backup` and `tidemill restore` on a stopped folder: what they print, and how they end."""

from pathlib import Path

from tests.support.backups import tidemill
from tests.support.engine import running_engine
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.cli.backup import format_size
from tidemill.log.sqlite import SqliteLog
from tidemill.service import feed_texts
from tidemill.store.migrate import migrate


def folder(data: Path) -> Path:
    """A data folder with nothing sent yet."""
    with running_engine(data / "store", database="tidemill") as address:
        migrate(address)
    SqliteLog(data / "log").close()
    catalog = SqliteCatalog(data / "catalog.sqlite")
    feed_texts(catalog)
    catalog.close()
    return data


def test_a_backup_is_made_listed_checked_and_restored(tmp_path: Path) -> None:
    data, to = folder(tmp_path / "data"), tmp_path / "backups"
    made = tidemill("backup", "--data", data, "--to", to)
    assert made.returncode == 0, made.stderr
    path = Path(made.stdout.strip())
    assert path.parent == to
    assert "the log to offset 0" in made.stderr and "applying paused for" in made.stderr
    assert path.name in tidemill("backup", "list", to).stdout
    assert f"{path} is whole." in tidemill("backup", "verify", to).stdout
    restored = tidemill("restore", to, "--data", tmp_path / "restored")
    assert restored.returncode == 0, restored.stderr
    assert f"tidemill verify --data {tmp_path / 'restored'}" in restored.stdout
    assert "Everything adds up." in tidemill("verify", "--data", tmp_path / "restored").stdout
    again = tidemill("restore", to, "--data", tmp_path / "restored")
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    nowhere = tidemill("backup", "--data", tmp_path / "data", "--to", tmp_path / "backups")
    assert nowhere.returncode == 2
    assert "no Tidemill data" in nowhere.stderr
    without = tidemill("backup", "--data", tmp_path)
    assert without.returncode == 2
    assert "--to" in without.stderr
    nothing = tidemill("restore", tmp_path, "--data", tmp_path / "restored")
    assert nothing.returncode == 1
    assert "There is no whole backup" in nothing.stderr
    assert not (tmp_path / "restored").exists()


def test_a_long_path_in_a_message_stays_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path.joinpath("long" * 30, "longer" * 30)
    assert str(path) in tidemill("backup", "verify", path).stderr


def test_sizes_are_for_people() -> None:
    assert [format_size(count) for count in (0, 1023, 1024, 1536, 5 << 30)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 KiB",
        "5.0 GiB",
    ]
