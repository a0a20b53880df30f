"""The catalog: small durable facts by key (tenants, keys, feeds, cursors). What every implementation promises.

Keys are slash-separated paths (`feeds/default/location/current`). Values are bytes. A write is durable on return and
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
    """Get, put with compare-and-set, list, watch."""

    def get(self, key: str) -> CatalogEntry | None:
        """The entry of a key, or None."""

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """Write and return the new revision. `expect` None: whatever is there; 0: only if the key is absent;
        n: only if the current revision is n, else ConflictError."""

    def delete(self, key: str, *, expect: int | None = None) -> bool:
        """Remove a key; False if it was not there. `expect` as for put."""

    def list(self, prefix: str) -> list[CatalogEntry]:
        """All entries whose key starts with `prefix`, by key."""

    def watch(self, prefix: str, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` (from another thread) within about a second after any write under `prefix` by any process;
        several writes may be one call. Returns a function that ends the watch."""

    def scrub(self) -> bool:
        """Make the bytes of values that were overwritten or removed leave the files, too; false if somebody is in the
        way: call again. Harmless when repeated."""

    def check(self) -> tuple[str, ...]:
        """What is damaged in the structure of what is kept; () where nothing is. Raises UnavailableError."""

    def close(self) -> None:
        """End the watches and let go of what was opened. Harmless when repeated."""
