"""The catalog as the poller sees it: cursors, states and unsent payloads of sources, from one thread of its own.

The catalog blocks (it is durable on return), the poller's loop must not: every call runs on the desk's one thread, in
order. Keys: `sources/{tenant}/{feed}/{item}/state`, `.../cursor`; and `unsent/{tenant}/{feed}/{item}/{key}`, apart, for
these are large and the others are listed by prefix.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import quote

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.sources.state import Cursor, SourceState, Unsent

T = TypeVar("T")
_PREFIX = "sources/"
_UNSENT_PREFIX = "unsent/"


class SourceStateStore:
    """Reads and writes what sources remember. Every method raises what the catalog raises."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._thread = ThreadPoolExecutor(1, "sources-catalog")

    async def call(self, work: Callable[[], T]) -> T:
        """Run blocking work on the desk's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def cursor(self, source: str) -> Cursor | None:
        """The cursor of a source, or None."""
        entry = await self.call(lambda: self._catalog.get(f"{source}/cursor"))
        return None if entry is None else msgspec.json.decode(entry.value, type=Cursor)

    async def save_cursor(self, source: str, cursor: Cursor) -> None:
        """Make a cursor durable."""
        value = msgspec.json.encode(cursor)
        await self.call(lambda: self._catalog.put(f"{source}/cursor", value))

    async def state(self, source: str) -> SourceState | None:
        """The state that was last written, or None (also when an older version wrote it)."""
        entry = await self.call(lambda: self._catalog.get(f"{source}/state"))
        try:
            return None if entry is None else msgspec.json.decode(entry.value, type=SourceState)
        except msgspec.DecodeError:
            return None

    async def save_state(self, source: str, state: SourceState) -> None:
        """Write a state."""
        value = msgspec.json.encode(state)
        await self.call(lambda: self._catalog.put(f"{source}/state", value))

    async def forget_state(self, source: str) -> None:
        """Remove the state of a source that is no more (its cursor stays, in case it returns)."""
        await self.call(lambda: self._catalog.delete(f"{source}/state"))

    async def shown(self) -> set[str]:
        """The sources that have a state, of all tenants."""
        keys = [entry.key for entry in await self.call(lambda: self._catalog.list(_PREFIX))]
        return {key.removesuffix("/state") for key in keys if key.endswith("/state")}

    async def unsent(self, source: str) -> list[Unsent]:
        """The payloads that were fetched and never taken, oldest first."""
        entries = await self.call(lambda: self._catalog.list(_unsent(source)))
        entries.sort(key=lambda entry: entry.revision)
        return [msgspec.msgpack.decode(entry.value, type=Unsent) for entry in entries]

    async def keep(self, source: str, unsent: Unsent) -> None:
        """Make a fetched payload durable here while intake cannot take it."""
        value = msgspec.msgpack.encode(unsent)
        await self.call(lambda: self._catalog.put(_unsent(source) + unsent.key, value))

    async def drop(self, source: str, unsent: Unsent) -> None:
        """Forget a payload that was taken."""
        await self.call(lambda: self._catalog.delete(_unsent(source) + unsent.key))

    def close(self) -> None:
        """End the thread after its last call."""
        self._thread.shutdown(wait=True)


def _unsent(source: str) -> str:
    return f"{_UNSENT_PREFIX}{source.removeprefix(_PREFIX)}/"


def read_states(catalog: Catalog, tenant: str) -> list[SourceState]:
    """The states of a tenant's sources, by key: what `GET /v1/sources` shows."""
    entries = catalog.list(f"{_PREFIX}{quote(tenant, safe='=.,-_')}/")
    return [msgspec.json.decode(entry.value, type=SourceState) for entry in entries if entry.key.endswith("/state")]
