"""The key with which this installation seals cursors (`query/cursors.py`). It is made once and kept for good, so that
the cursors of clients stay valid after restarts and in every process."""

import secrets
from typing import Final

from tidemill.catalog.contract import Catalog
from tidemill.errors import ConflictError

CURSOR_KEY: Final = "cursors/key"
_BYTES: Final = 32


def cursor_key(catalog: Catalog) -> bytes:
    """The key, which is made if there is none yet; every process of a catalog gets the same. Raises what the catalog
    raises."""
    entry = catalog.get(CURSOR_KEY)
    if entry is None:
        key = secrets.token_bytes(_BYTES)
        try:
            catalog.put(CURSOR_KEY, key, expect=0)
        except ConflictError:  # another process was faster
            return cursor_key(catalog)
        return key
    return entry.value
