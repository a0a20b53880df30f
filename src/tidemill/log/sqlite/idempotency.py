"""Idempotency keys: the same key with the same body returns the same receipt, with another body it is a conflict.

A key belongs to (tenant, feed) and is written in the commit of its payload, so a key and its payload exist together or
not at all. `Keys` is made for one commit, and also handles keys that come twice within it.
"""

from collections.abc import Callable
from contextlib import suppress

import apsw

from tidemill.errors import ConflictError
from tidemill.log.contract import Appended
from tidemill.model.payload import Payload

_Used = tuple[bytes, Appended]  # sha256 of the body that the key was used with, and the answer


class KeyClock:
    """The clock by which keys are written and expire, in ns: starts at the newest key, and runs as a monotonic clock.

    Reads the system's clock only when there is no key: a system clock that jumps forward (also while the process is
    down) would expire keys, and then a payload that is sent again would be stored twice. The time for which the process
    is down does not count either, so a key lasts seven days or longer.
    """

    def __init__(self, now_ns: Callable[[], int], monotonic: Callable[[], float], connection: apsw.Connection) -> None:
        newest: int | None = None
        with suppress(apsw.CorruptError):  # named when a key is looked up
            newest = connection.execute("SELECT max(used_ns) FROM idempotency").get
        self._monotonic = monotonic
        self._begun = monotonic()
        self._base_ns = now_ns() if newest is None else newest

    def __call__(self) -> int:
        """The time now."""
        return self._base_ns + int((self._monotonic() - self._begun) * 1e9)


class Keys:
    """The keys used in one commit; `fresh_after_ns` is the time before which a key has expired."""

    def __init__(self, connection: apsw.Connection, now_ns: int, fresh_after_ns: int) -> None:
        self._connection = connection
        self._now_ns = now_ns
        self._fresh_after_ns = fresh_after_ns
        self._new: dict[tuple[str, str, str], _Used] = {}

    def earlier(self, payload: Payload, key: str) -> Appended | ConflictError | None:
        """The answer to a payload whose key was used before; None: the key is new, so the payload is to be appended."""
        used = self._new.get((payload.tenant, payload.feed, key)) or self._stored(payload, key)
        if used is None:
            return None
        sha256, appended = used
        if sha256 == payload.sha256:
            return Appended(appended.seq, appended.receipt, appended.received_ns, replayed=True)
        return ConflictError(
            f"the idempotency key was used on feed {payload.feed} with another body (receipt {appended.receipt}); "
            f"send this body with a key of its own"
        )

    def use(self, payload: Payload, key: str, appended: Appended) -> None:
        """Save that `key` is used for `payload`; replaces an expired use."""
        self._new[payload.tenant, payload.feed, key] = (payload.sha256, appended)
        self._connection.execute(
            "INSERT OR REPLACE INTO idempotency (tenant, feed, key, sha256, receipt, seq, received_ns, used_ns)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (
                payload.tenant, payload.feed, key, payload.sha256,
                appended.receipt, appended.seq, appended.received_ns, self._now_ns,
            ),
        )  # fmt: skip

    def _stored(self, payload: Payload, key: str) -> _Used | None:
        row = self._connection.execute(
            "SELECT sha256, seq, receipt, received_ns FROM idempotency"
            " WHERE tenant = ? AND feed = ? AND key = ? AND used_ns > ?",
            (payload.tenant, payload.feed, key, self._fresh_after_ns),
        ).get
        return None if row is None else (row[0], Appended(row[1], row[2], row[3]))


def delete_expired_keys(connection: apsw.Connection, fresh_after_ns: int, count: int = 512) -> int:
    """Delete up to `count` expired keys; returns how many."""
    connection.execute(
        "DELETE FROM idempotency WHERE (tenant, feed, key) IN"
        " (SELECT tenant, feed, key FROM idempotency WHERE used_ns <= ? LIMIT ?)",
        (fresh_after_ns, count),
    )
    return connection.changes()
