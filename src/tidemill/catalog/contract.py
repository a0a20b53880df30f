"""The contract of the catalog, which keeps small durable values by key (API keys, feeds, jobs, sources' cursors).

Keys are slash-separated paths (`feeds/default/location/0000000001`). Values are bytes. A write is durable on return and
atomic for its key; there is no transaction over several keys. Revisions rise with every write to a key and are never
reused, also after a delete. Any number of processes may use one catalog at a time.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec


class CatalogEntry(msgspec.Struct, frozen=True):
    """A value and its revision."""

    key: str
    value: bytes
    revision: int


class Catalog(Protocol):
    """Gets, puts with compare-and-set, deletes, lists and watches values by key."""

    def get(self, key: str) -> CatalogEntry | None:
        """The entry of a key, or None."""

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """Write a value; returns the new revision. `expect` None: write in any case; 0: only if the key is absent; n:
        only if the current revision is n. Otherwise raises ConflictError."""

    def delete(self, key: str, *, expect: int | None = None) -> bool:
        """Remove a key; false if it was absent. `expect` as for `put`."""

    def list(self, prefix: str) -> list[CatalogEntry]:
        """All entries whose key starts with `prefix`, by key."""

    def watch(self, prefix: str, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` (from another thread) within about a second after any write under `prefix` by any process.
        Several writes may cause one call. Returns a function that ends the watch."""

    def erase_removed(self) -> bool:
        """Erase the bytes of overwritten and removed values from the files; false while another process reads the
        files: call again. Harmless when repeated."""

    def structure_faults(self) -> tuple[str, ...]:
        """The damages in the structure of the catalog's files; () for none. Raises UnavailableError."""

    def close(self) -> None:
        """End the watches and close the files. Harmless when repeated."""
