"""Sets damaged parts of the store's tables aside where the log has all that was in them, so that the mill makes their
rows again. A part of which the log lacks something stays: what of it can be read is more than nothing.
"""

from collections.abc import Callable, Iterator
from typing import Final

from tidemill.errors import StoreQueryError
from tidemill.log.at_rest import Repaired
from tidemill.log.contract import LogReader
from tidemill.model.offset import seq_of
from tidemill.store.client import Store

_MADE_ANEW: Final = "owners"  # a mill claims its partition at every start
# The tables that the mill makes from the log; what is in `polls` and `schema_migrations` is kept nowhere else.
_OF_THE_LOG: Final = frozenset(
    {"points", "series", "payloads", "rejections", "replaced", "rollups", "changes", "deletions", "deleted_records"}
    | {"submissions"}
)
_WITH_SEQ: Final = frozenset({"points", "payloads", "rejections", "replaced", "changes", "submissions"})


def repair_parts(log: LogReader, store: Store, note_again: Callable[[], None]) -> Repaired:
    """Detach the damaged parts of which the log has everything. `note_again` is called before a part is detached: all
    of the log is to be applied again. Raises TidemillError, OSError."""
    done: list[str] = []
    lost: list[str] = []
    firsts = [partition.first_seq() for partition in log.partitions]
    is_whole = all(seq_of(first) == 1 for first in firsts)
    for table, part in list(_damaged(store)):
        where = f"part {part} of table {table}"
        # Rows of several partitions may be in one part: then every partition has to be whole.
        begins_later = len(firsts) == 1 and 0 < firsts[0] <= _begins(store, table, part)
        if table == _MADE_ANEW:
            store.command("repair_detach", table=table, part=part)
            done.append(f"{where} is damaged, and set aside: the mill writes it anew when it starts")
        elif table in _OF_THE_LOG and (is_whole or begins_later):
            note_again()
            store.command("repair_detach", table=table, part=part)
            done.append(f"{where} is damaged, and set aside: the log has what was in it")
        else:
            lost.append(f"what cannot be read of {where}: the log lacks some of it. The part stays; put back a backup")
    return Repaired(done, lost)


def _damaged(store: Store) -> Iterator[tuple[str, str]]:
    """(table, part) of every part that does not have the checksums with which it was written."""
    for row in store.rows("verify_tables"):
        for part in store.rows("verify_table", table=row["name"]):
            if not part["is_passed"]:
                yield row["name"], part["part_path"]


def _begins(store: Store, table: str, part: str) -> int:
    """The lowest offset of a part's rows; 0: not known."""
    if table not in _WITH_SEQ:
        return 0
    try:
        return int(store.rows("repair_first_offset", table=table, part=part)[0]["seq"])
    except StoreQueryError:
        return 0
