"""The key that this installation's cursors are sealed with (`query/seals.py`). Made once, kept for good: cursors that
clients hold stay good across restarts and for every process."""

import secrets
from typing import Final

from tidemill.catalog.contract import Catalog
from tidemill.errors import ConflictError

CURSOR_KEY: Final = "cursors/key"
_BYTES: Final = 32


def cursor_key(catalog: Catalog) -> bytes:
    """The key, made when there is none yet; every process of a catalog gets the same. Raises what it raises."""
    entry = catalog.get(CURSOR_KEY)
    if entry is None:
        key = secrets.token_bytes(_BYTES)
        try:
            catalog.put(CURSOR_KEY, key, expect=0)
        except ConflictError:  # another process was faster
            return cursor_key(catalog)
        return key
    return entry.value
