"""Freezes the tables of the embedded store: makes hard links to the parts that are active now.

Parts never change once they are written, so the links keep the bytes of this moment whatever is inserted, merged or
deleted afterwards. That takes about 10 ms a table, however large. Each table is frozen by itself: a caller that needs
all tables as of one moment has to stop the writers meanwhile.
"""

from pathlib import Path
from typing import Final

from tidemill.store.client import Store

ENGINE: Final = Path("chdb")  # the engine's folder, below the store's
FROZEN: Final = ENGINE / "shadow" / "tidemill"  # the folder of the links


def freeze_tables(store: Store) -> str:
    """Freeze every table; returns the version of the engine, the only version that is sure to read the parts.

    Raises StoreUnavailableError, and StoreQueryError while the links of an earlier freeze are still there.
    """
    for row in store.rows("backup_tables"):
        store.command("backup_freeze", table=row["name"])
    return str(store.rows("backup_engine")[0]["version"])
