"""Freezes the tables of the embedded store: hard links to the parts that are active now.

Parts never change once they are written, so the links keep the bytes of this moment whatever is inserted, merged or
deleted afterwards. About 10 ms a table, however large. Each table is frozen by itself: who wants one moment of all
tables keeps their writers still meanwhile.
"""

from pathlib import Path
from typing import Final

from tidemill.store.client import Store

ENGINE: Final = Path("chdb")  # the engine's folder, below the store's
FROZEN: Final = ENGINE / "shadow" / "tidemill"  # where the links are


def freeze(store: Store) -> str:
    """Freeze every table; returns the version of the engine, which alone is sure to read the parts.

    Raises StoreUnavailableError, and StoreQueryError while an earlier freeze is still there.
    """
    for row in store.rows("backup_tables"):
        store.command("backup_freeze", table=row["name"])
    return str(store.rows("backup_engine")[0]["version"])
