"""Replays over any Catalog: `replays/<tenant>/<id>`, one key each. Ids are UUIDv7, so order of keys is order of time.

The API makes them and may cancel one; the mill does everything else. Both write with compare-and-set.
"""

from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.errors import ConflictError, NotFoundError
from tidemill.model.replay import OVER, UNDER_WAY, Replay, State

PREFIX: Final = "replays/"
_KEEP: Final = 200  # of a tenant that are over; beyond it the oldest go


class _Glance(msgspec.Struct, frozen=True):
    """The state of a replay, whatever else it is."""

    state: State


class CatalogReplays:
    """The replays of all tenants. Every method raises what the catalog raises."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def create(self, replay: Replay) -> None:
        """Keep a new replay, durable on return; forgets the oldest that are over."""
        self._catalog.put(_key(replay.tenant, replay.id), msgspec.json.encode(replay), expect=0)
        over = [one for one in self.list(replay.tenant) if one.state in OVER]
        for one in over[:-_KEEP]:
            self._catalog.delete(_key(one.tenant, one.id))

    def get(self, tenant: str, replay: str) -> Replay:
        """One replay. Raises NotFoundError."""
        entry = self._catalog.get(_key(tenant, replay))
        if entry is None:
            raise NotFoundError(f"there is no replay '{replay[:64]}'")
        return msgspec.json.decode(entry.value, type=Replay)

    def under_way(self) -> list[Replay]:
        """Those of all tenants that are not over, oldest first; what the others changed is not even read."""
        entries = self._catalog.list(PREFIX)
        found = [entry for entry in entries if msgspec.json.decode(entry.value, type=_Glance).state in UNDER_WAY]
        return sorted((msgspec.json.decode(one.value, type=Replay) for one in found), key=lambda replay: replay.id)

    def list(self, tenant: str | None = None) -> list[Replay]:
        """All replays of a tenant, or of all, oldest first."""
        entries = self._catalog.list(PREFIX if tenant is None else f"{PREFIX}{tenant}/")
        found = [msgspec.json.decode(entry.value, type=Replay) for entry in entries]
        return sorted(found, key=lambda replay: replay.id)

    def change(self, replay: Replay, *, only: Collection[State] = UNDER_WAY, **changes: Any) -> Replay:
        """Write these changes of a replay; what others changed meanwhile stays.

        Raises NotFoundError, and ConflictError when its state is none of `only` (somebody cancelled it).
        """
        while True:
            entry = self._catalog.get(_key(replay.tenant, replay.id))
            if entry is None:
                raise NotFoundError(f"there is no replay '{replay.id[:64]}'")
            now = msgspec.json.decode(entry.value, type=Replay)
            if now.state not in only:
                raise ConflictError(f"replay {now.id} is {now.state}")
            changed = msgspec.structs.replace(now, **changes)
            try:
                self._catalog.put(entry.key, msgspec.json.encode(changed), expect=entry.revision)
            except ConflictError:
                continue  # somebody else wrote between: look again
            return changed

    def cancel(self, tenant: str, replay: str, now_ns: int) -> Replay:
        """End a replay that publishes nothing yet. Raises NotFoundError, and ConflictError when it is too late."""
        found = self.get(tenant, replay)
        return self.change(found, only=("queued", "running"), state="cancelled", finished_ns=now_ns)

    def forget_values(self, tenant: str, feed: str, until_ns: int, now_ns: int) -> None:
        """Take the values out of what replays of a feed that were asked for until then found: some are deleted now.
        Their counts stay. A replay from after now is of a clock that was wrong: when it was asked for nobody knows."""
        for one in self.list(tenant):
            found = one.difference
            later = until_ns < one.created_ns <= now_ns
            if one.state not in OVER or found is None or one.request.feed != feed or later:
                continue
            if found.windows or found.points:
                bare = msgspec.structs.replace(found, windows=(), points=())
                bare = msgspec.structs.replace(bare, largest_window_change=None, largest_point_change=None)
                self.change(one, only=OVER, difference=bare)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` within about a second after any replay changed; returns what ends that."""
        return self._catalog.watch(PREFIX, changed)


def _key(tenant: str, replay: str) -> str:
    return f"{PREFIX}{tenant}/{replay.replace('/', '%2F')}"
