"""A lease: one of several processes owns something (`own/3`: a partition; `own/poller`) as long as it renews in time.

The lease chooses the owner; that a late write of a former owner is refused is the store's work (`store/fenced.py`).
Only differences of the own monotonic clock are used; no clock is compared with another.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from tidemill.catalog.contract import Catalog, CatalogEntry
from tidemill.errors import ConflictError

LEASE_S: Final = 10.0
MARGIN: Final = 1 / 6  # of the length: between the end for the owner and the end for a candidate


class LeaseHolder(msgspec.Struct, frozen=True):
    """The value of a lease's key: who owns it ("": nobody), and the epoch, which rises with every take-over."""

    owner: str
    epoch: int


class Lease:
    """The lease `key` for the process `owner`, a name that no other process has. Not thread-safe.

    Call `step` about every third of `length_s`, and `valid` before each write. A call that the catalog does not answer
    raises UnavailableError and gains nothing: the lease ends by itself. `epoch`: that of the last take-over.
    """

    def __init__(
        self,
        catalog: Catalog,
        key: str,
        owner: str,
        *,
        length_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog, self._key, self._owner, self._length_s = catalog, key, owner, length_s
        self._clock = clock
        self._revision = -1  # the last one seen, own or not
        self._seen_at = 0.0  # when `_revision` was first seen
        self._valid_until: float | None = None  # None: not the owner
        self.epoch = 0

    @property
    def valid(self) -> bool:
        """Whether the process owns the lease now. Never true again for the same epoch once it was false."""
        if self._valid_until is not None and self._clock() >= self._valid_until:
            self._valid_until = None
        return self._valid_until is not None

    def step(self) -> bool:
        """Renew the lease, or try to take it when its owner gave it up or has not renewed it for `length_s`; returns
        whether the process owns it. Raises UnavailableError."""
        began = self._clock()  # before the request is sent: the lease may have been renewed from then on
        if self.valid:
            return self._write(LeaseHolder(self._owner, self.epoch), self._revision, began)
        entry = self._catalog.get(self._key)
        holder = LeaseHolder("", 0) if entry is None else msgspec.json.decode(entry.value, type=LeaseHolder)
        if holder.owner and not self._has_ended(entry, began):
            return False
        revision = 0 if entry is None else entry.revision
        return self._write(LeaseHolder(self._owner, holder.epoch + 1), revision, self._clock())

    def release(self) -> None:
        """Give the lease up, so that another process takes it at once. Harmless for one that is not owned."""
        if self.valid:
            self._write(LeaseHolder("", self.epoch), self._revision, self._clock())
        self._valid_until = None

    def _has_ended(self, entry: CatalogEntry | None, now: float) -> bool:
        revision = 0 if entry is None else entry.revision
        if revision != self._revision:
            self._revision, self._seen_at = revision, now
            return False
        return now - self._seen_at >= self._length_s

    def _write(self, holder: LeaseHolder, revision: int, began: float) -> bool:
        try:
            self._revision = self._catalog.put(self._key, msgspec.json.encode(holder), expect=revision)
        except ConflictError:
            self._valid_until, self._revision = None, -1
            return False
        self.epoch = holder.epoch
        self._valid_until = began + self._length_s * (1 - MARGIN)
        return self.valid
