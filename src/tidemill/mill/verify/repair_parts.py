"""Sets damaged parts of the store's tables aside where the log has all that was in them, so that the mill makes their
rows again. A part of which the log lacks something stays: what of it can be read is more than nothing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tidemill.errors import StoreQueryError
from tidemill.log.reader import SqliteLogReader
from tidemill.mill.verify.repair import Repaired
from tidemill.store.client import Store

# What the mill makes of the log; `polls` and `schema_migrations` are of nothing that is kept elsewhere.
_OF_THE_LOG: Final = frozenset(
    {"points", "series", "payloads", "rejections", "replaced", "rollups", "changes", "deletions", "deleted_records"}
)
_WITH_SEQ: Final = frozenset({"points", "payloads", "rejections", "replaced", "changes"})


def repair_parts(folder: Path, store: Store, note_again: Callable[[], None]) -> Repaired:
    """Detach the damaged parts of which the log in `folder` has everything. `note_again` is called before a part is
    detached: all of the log is to be applied again. Raises TidemillError, OSError."""
    done: list[str] = []
    gone: list[str] = []
    log = SqliteLogReader(folder, quiet=True)
    try:
        first_seq = log.first_seq()
    finally:
        log.close()
    for table, part in list(_damaged(store)):
        where = f"part {part} of table {table}"
        if first_seq and table in _OF_THE_LOG and (first_seq == 1 or _begins(store, table, part) >= first_seq):
            note_again()
            store.command("repair_detach", table=table, part=part)
            done.append(f"{where} is damaged, and set aside: the log has what was in it")
        else:
            gone.append(f"what cannot be read of {where}: the log lacks some of it. The part stays; put back a backup")
    return Repaired(done, gone)


def _damaged(store: Store) -> Iterator[tuple[str, str]]:
    """(table, part) of every part that does not have the checksums with which it was written."""
    for row in store.rows("verify_tables"):
        for part in store.rows("verify_table", table=row["name"]):
            if not part["is_passed"]:
                yield row["name"], part["part_path"]


def _begins(store: Store, table: str, part: str) -> int:
    """The lowest place in the log of a part's rows; 0: not known."""
    if table not in _WITH_SEQ:
        return 0
    try:
        return int(store.rows("repair_begins", table=table, part=part)[0]["seq"])
    except StoreQueryError:
        return 0
