"""A folder that lost its catalog is refused, whatever became of it, and is closed when the loss is accepted."""

import random
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tests.log.payloads import payload
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.keys import create_key, ever_keys
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.data_folder import check_folder, mark_closed
from tidemill.errors import StartupError
from tidemill.feeds.recipes import RECIPES
from tidemill.log.sqlite import SqliteLog
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state_files import FileMillState
from tidemill.settings import Settings
from tidemill.supervise import Supervisor


def used(folder: Path, *, entries: int = 3, tenant: str = "default", key: bool = False) -> Path:
    """A folder in which a server ran: catalog with recipes, log with entries."""
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    for name in {"default", tenant}:
        CatalogFeeds(catalog).install(name, RECIPES)
    if key:
        create_key(catalog, tenant, ["admin"])
        mark_closed(folder)
    catalog.close()
    log = SqliteLog(folder / "log")
    for _ in range(entries):
        log.append(payload(tenant=tenant))
    log.close()
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("catalog.sqlite*"))


def edit(folder: Path, sql: str) -> None:
    connection = apsw.Connection(str(folder / "catalog.sqlite"))
    connection.execute(sql)
    connection.close()


def remove(folder: Path) -> None:
    for path in files(folder):
        path.unlink()


def truncate(folder: Path) -> None:
    remove(folder)
    (folder / "catalog.sqlite").touch()


def overwrite(folder: Path) -> None:
    remove(folder)
    (folder / "catalog.sqlite").write_bytes(random.Random(1).randbytes(40_960))


def tear(folder: Path) -> None:
    with (folder / "catalog.sqlite").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def replace_with_empty(folder: Path) -> None:
    remove(folder)
    SqliteCatalog(folder / "catalog.sqlite").close()


def lose_feeds(folder: Path) -> None:
    edit(folder, "DELETE FROM entries WHERE key LIKE 'feeds/%'")


def lose_keys(folder: Path) -> None:
    edit(folder, "DELETE FROM entries WHERE key LIKE 'keys/%' OR key LIKE 'access/%'")


def drop_tables(folder: Path) -> None:
    edit(folder, "DROP TABLE entries")


LOSSES: list[Callable[[Path], None]] = [remove, truncate, overwrite, tear, replace_with_empty, lose_feeds, drop_tables]


@pytest.mark.parametrize("lose", [*LOSSES, lose_keys], ids=lambda lose: lose.__name__)
def test_a_folder_that_was_closed_and_lost_its_catalog_is_refused_and_never_opens(
    lose: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = used(tmp_path, key=True)
    lose(folder)
    before = {path: path.read_bytes() for path in files(folder)}
    supervisor = Supervisor(Settings(data=str(folder), listen="127.0.0.1:0"))
    with pytest.raises(StartupError, match=r"Put catalog.sqlite .* back from a backup") as error:
        supervisor.prepare()
    assert "would open the server" in error.value.message
    assert "TIDEMILL_ACCEPT_CATALOG_LOSS=3" in error.value.message
    assert {path: path.read_bytes() for path in files(folder) if path in before} == before, "a look changes nothing"
    for other in ("", "2", "4", "yes", "03"):
        with pytest.raises(StartupError):
            check_folder(folder, {"TIDEMILL_ACCEPT_CATALOG_LOSS": other})
    check_folder(folder, {"TIDEMILL_ACCEPT_CATALOG_LOSS": "3"})
    check_folder(folder, {})  # and from now on it is whole
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    assert ever_keys(catalog), "it is closed, and no key is known"
    assert CatalogFeeds(catalog).names("default") == sorted(RECIPES)
    catalog.close()


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_folder_that_was_open_is_refused_as_well_and_is_closed_afterwards(
    lose: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = used(tmp_path)
    check_folder(folder, {})
    lose(folder)
    with pytest.raises(StartupError, match="TIDEMILL_ACCEPT_CATALOG_LOSS=3"):
        check_folder(folder, {})
    check_folder(folder, {"TIDEMILL_ACCEPT_CATALOG_LOSS": "3"})
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    assert ever_keys(catalog)
    catalog.close()


def test_one_tenants_lost_feeds_are_noticed_and_the_others_stay_when_that_is_accepted(tmp_path: Path) -> None:
    folder = used(tmp_path, tenant="acme", key=True)
    edit(folder, "DELETE FROM entries WHERE key LIKE 'feeds/acme/%'")
    with pytest.raises(StartupError, match="has no feeds of the tenant 'acme'"):
        check_folder(folder, {})
    check_folder(folder, {"TIDEMILL_ACCEPT_CATALOG_LOSS": "3"})
    check_folder(folder, {})
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    assert len(catalog.list("keys/")) == 1
    catalog.close()


def test_an_old_log_that_is_lost_too_is_remembered_by_what_lies_beside_it(tmp_path: Path) -> None:
    for name, make in (
        ("store", lambda folder: (folder / "store" / "data").mkdir(parents=True)),
        ("position", lambda folder: FileMillState(folder / "mill").save_progress(PartitionProgress(7))),
        ("closed", mark_closed),
    ):
        (folder := tmp_path / name).mkdir()
        make(folder)
        last = 7 if name == "position" else 0
        with pytest.raises(StartupError, match=f"TIDEMILL_ACCEPT_CATALOG_LOSS={last}"):
            check_folder(folder, {})


def test_a_used_catalog_put_aside_is_kept(tmp_path: Path) -> None:
    folder = used(tmp_path)
    overwrite(folder)
    damaged = (folder / "catalog.sqlite").read_bytes()
    check_folder(folder, {"TIDEMILL_ACCEPT_CATALOG_LOSS": "3"})
    assert (folder / "catalog-lost.sqlite").read_bytes() == damaged


def test_a_catalog_that_is_put_back_is_taken(tmp_path: Path) -> None:
    folder = used(tmp_path, key=True)
    kept = {path: path.read_bytes() for path in files(folder)}
    replace_with_empty(folder)
    with pytest.raises(StartupError):
        check_folder(folder, {})
    remove(folder)
    for path, content in kept.items():
        path.write_bytes(content)
    check_folder(folder, {})


def test_a_fresh_folder_starts_also_after_a_start_that_came_to_nothing(tmp_path: Path) -> None:
    check_folder(tmp_path / "nowhere", {})
    check_folder(tmp_path, {})
    SqliteCatalog(tmp_path / "catalog.sqlite").close()  # ended before it had feeds
    SqliteLog(tmp_path / "log").close()
    check_folder(tmp_path, {})
    used(tmp_path, entries=0)
    (tmp_path / "store" / "data").mkdir(parents=True)
    check_folder(tmp_path, {})
    supervisor = Supervisor(Settings(data=str(tmp_path), listen="127.0.0.1:0"))
    supervisor.prepare()
    assert supervisor.open_access


@pytest.mark.parametrize("tenant", ["efault", "defaulu", "Default"])
def test_a_flipped_bit_in_an_entry_of_the_log_makes_no_tenant_whose_feeds_are_lost(tmp_path: Path, tenant: str) -> None:
    folder = used(tmp_path)
    connection = apsw.Connection(str(folder / "log" / "log.sqlite"))
    connection.execute("UPDATE entries SET tenant = ? WHERE seq = 2", (tenant,))
    connection.close()
    check_folder(folder)


def test_a_damaged_log_is_not_the_catalogs_matter(tmp_path: Path) -> None:
    folder = used(tmp_path)
    (folder / "log" / "log.sqlite").write_bytes(b"no log")
    check_folder(folder, {})
    remove(folder)
    with pytest.raises(StartupError, match="LOSS=3"):  # the high-water mark knows
        check_folder(folder, {})
