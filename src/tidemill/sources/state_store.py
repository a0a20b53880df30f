"""Stores cursors, states, tokens and unsent payloads of sources in the catalog, in one thread of its own.

The catalog blocks (it is durable on return) and the poller's loop must not block, so every call runs on the store's one
thread, in order. Keys: `sources/{tenant}/{feed}/{item}/state` and `.../cursor`; `unsent/{tenant}/{feed}/{item}/{key}`,
under another prefix because they are large and `sources/` is listed as a whole; `tokens/{tenant}/{feed}/{item}`: a
refresh token that a server replaced.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from urllib.parse import quote

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.sources.oauth import RotatedToken
from tidemill.sources.state import Cursor, SourceState, Unsent

T = TypeVar("T")
_PREFIX = "sources/"
_UNSENT_PREFIX = "unsent/"
_TOKEN_PREFIX = "tokens/"


class SourceStateStore:
    """Reads and writes the stored state of sources. Every method raises the errors of the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._thread = ThreadPoolExecutor(1, "sources-catalog")

    async def run_blocking(self, work: Callable[[], T]) -> T:
        """The result of blocking work, run on the store's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def read_cursor(self, source: str) -> Cursor | None:
        """The cursor of a source, or None."""
        entry = await self.run_blocking(lambda: self._catalog.get(f"{source}/cursor"))
        return None if entry is None else msgspec.json.decode(entry.value, type=Cursor)

    async def save_cursor(self, source: str, cursor: Cursor) -> None:
        """Make a cursor durable."""
        value = msgspec.json.encode(cursor)
        await self.run_blocking(lambda: self._catalog.put(f"{source}/cursor", value))

    async def read_token(self, source: str) -> RotatedToken | None:
        """The refresh token that replaced the one of the definition, or None."""
        entry = await self.run_blocking(lambda: self._catalog.get(_token_key(source)))
        return None if entry is None else msgspec.json.decode(entry.value, type=RotatedToken)

    async def save_token(self, source: str, rotated: RotatedToken) -> None:
        """Make a refresh token that replaced another one durable."""
        value = msgspec.json.encode(rotated)
        await self.run_blocking(lambda: self._catalog.put(_token_key(source), value))

    async def read_state(self, source: str) -> SourceState | None:
        """The state that was last written, or None (also when an older version wrote it)."""
        entry = await self.run_blocking(lambda: self._catalog.get(f"{source}/state"))
        try:
            return None if entry is None else msgspec.json.decode(entry.value, type=SourceState)
        except msgspec.DecodeError:
            return None

    async def save_state(self, source: str, state: SourceState) -> None:
        """Make a state durable."""
        value = msgspec.json.encode(state)
        await self.run_blocking(lambda: self._catalog.put(f"{source}/state", value))

    async def delete_state(self, source: str) -> None:
        """Delete the state of a source that does not exist any more. Its cursor stays, in case the source returns."""
        await self.run_blocking(lambda: self._catalog.delete(f"{source}/state"))

    async def delete_feeds(self, feeds: Iterable[tuple[str, str]]) -> None:
        """Delete all that is kept of the sources of these feeds (tenant, name): states, cursors, tokens and payloads
        that were not taken yet."""
        for tenant, feed in feeds:
            await self.run_blocking(partial(delete_sources, self._catalog, tenant, feed))

    async def keys_with_state(self) -> set[str]:
        """The keys of the sources that have a state, of all tenants."""
        keys = [entry.key for entry in await self.run_blocking(lambda: self._catalog.list(_PREFIX))]
        return {key.removesuffix("/state") for key in keys if key.endswith("/state")}

    async def read_unsent(self, source: str) -> list[Unsent]:
        """The payloads that were fetched and never taken, oldest first."""
        entries = await self.run_blocking(lambda: self._catalog.list(_unsent_prefix(source)))
        entries.sort(key=lambda entry: entry.revision)
        return [msgspec.msgpack.decode(entry.value, type=Unsent) for entry in entries]

    async def save_unsent(self, source: str, unsent: Unsent) -> None:
        """Make a fetched payload durable here while intake cannot take it."""
        value = msgspec.msgpack.encode(unsent)
        await self.run_blocking(lambda: self._catalog.put(_unsent_prefix(source) + unsent.key, value))

    async def delete_unsent(self, source: str, unsent: Unsent) -> None:
        """Delete a saved payload that intake took."""
        await self.run_blocking(lambda: self._catalog.delete(_unsent_prefix(source) + unsent.key))

    def close(self) -> None:
        """End the thread after its last call."""
        self._thread.shutdown(wait=True)


def delete_sources(catalog: Catalog, tenant: str, feed: str) -> None:
    """Delete all that the catalog keeps of a feed's sources: states, cursors, tokens and payloads that were not taken
    yet. Harmless when repeated; the poller must not run them any more."""
    for prefix in (_PREFIX, _UNSENT_PREFIX, _TOKEN_PREFIX):
        for entry in catalog.list(f"{prefix}{quote(tenant, safe='=.,-_')}/{quote(feed, safe='=.,-_')}/"):
            catalog.delete(entry.key)


def _unsent_prefix(source: str) -> str:
    return f"{_UNSENT_PREFIX}{source.removeprefix(_PREFIX)}/"


def _token_key(source: str) -> str:
    return f"{_TOKEN_PREFIX}{source.removeprefix(_PREFIX)}"


def read_states(catalog: Catalog, tenant: str) -> list[SourceState]:
    """The states of a tenant's sources, by key: what `GET /v1/sources` shows."""
    entries = catalog.list(f"{_PREFIX}{quote(tenant, safe='=.,-_')}/")
    return [msgspec.json.decode(entry.value, type=SourceState) for entry in entries if entry.key.endswith("/state")]
