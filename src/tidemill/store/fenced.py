"""The store as a mill writes to it: fenced, so that a mill that lost its partition writes nothing any more.

A mill claims its partition in the store before it reads anything there (table `owners`): an epoch above all that there
were. Every INSERT and DELETE asks in the same statement whether the partition is still that mill's. After a claim the
mill waits until no write that was let through before is under way. So what the mill reads from then on changes only by
its own writes, whatever its predecessor still believes or sends.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import polars as pl
from clickhouse_connect.driver.client import Client

from tidemill.errors import LostPartitionError, StoreQueryError, StoreUnavailableError
from tidemill.store.client import Store

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_REFUSED: Final = 395  # of throwIf
_FENCED: Final = frozenset({"fence_partition", "fence_owner"})
_WAIT_S: Final = 2.0  # for writes under way; then the mill says that it waits, and goes on waiting
_LOOK_S: Final = 0.02
_ONE_THREAD: Final = "max_threads = 1"  # a second one costs a small INSERT 0.5 ms, and gains a large one nothing


class FencedStore(Store):
    """`store` for the mill of one partition, which is claimed by the first call. Safe to use from several threads at
    once.

    Beside what Store raises: LostPartitionError from the first call and from every write once the partition is another
    mill's (what was not written before is not written). Reads go on. `epoch`: that of the claim, 0 before it.
    """

    def __init__(self, store: Store, partition: int, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__(store.address, settings=store._settings, queries=store._queries, timeout_s=store._timeout_s)
        self._connections = store._connections
        self.partition = partition
        self.owner = secrets.randbits(63) + 1  # 0 is nobody
        self.epoch = 0
        self._plain = store
        self._clock = clock
        self._fence = {"fence_partition": partition, "fence_owner": self.owner}
        self._taking = threading.Lock()
        self._claimed = False
        self._columns: dict[str, dict[str, str]] = {}

    def take(self) -> None:
        """Claim the partition, unless this was done. Raises StoreUnavailableError while writes of its former owner are
        under way (call again), LostPartitionError when another mill claimed it meanwhile."""
        if self.epoch:
            return
        with self._taking, self._counted():
            self._take()

    def ensure_owner(self) -> None:
        """Raise LostPartitionError when the partition is another mill's."""
        self._ensure(int(self.rows("fence_owner", fence_partition=self.partition)[0]["owner"]))

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """See `Store.insert`."""
        with self._refusing():
            super().insert(table, frame)

    def command(self, query: str, /, **values: Any) -> None:
        """See `Store.command`; the fence of a query is bound here."""
        asked = self._named(query)
        if asked.sql.startswith("ALTER"):
            self.ensure_owner()
        if not asked.takes >= _FENCED:
            super().command(query, **values)
            return
        with self._refusing():
            super().command(query, **values, **self._fence)
        if asked.sql.startswith("DELETE"):
            self.ensure_owner()

    def _call(self, work: Callable[[Client], _T], question: str = "") -> _T:
        self.take()
        return super()._call(work, question)

    def _into(self, table: str, columns: Sequence[str]) -> str:
        """See `Store._into`: a SELECT of the same columns that the fence can refuse."""
        if table not in self._columns:
            known: dict[str, dict[str, str]] = {}
            for row in self.rows("fence_columns"):
                known.setdefault(row["table"], {})[row["name"]] = row["type"]
            self._columns = known
        types = self._columns.get(table, {})
        structure = ", ".join(f"`{name}` {types.get(name, 'String')}" for name in columns)
        quoted = structure.replace("\\", "\\\\").replace("'", "\\'")
        return (
            f"{super()._into(table, columns)} SETTINGS {_ONE_THREAD} SELECT * FROM input('{quoted}') "
            f"WHERE throwIf(dictGet('current_owners', 'owner', toUInt64({self.partition})) != {self.owner}, "
            "'partition lost') = 0"
        )

    def _take(self) -> None:
        if self.epoch:  # by another thread, meanwhile
            return
        if not self._claimed:
            self._plain.command("fence_claim", now=self._clock(), **self._fence)
            self._claimed = True
        self._plain.command("fence_reload")
        epoch = self._wait_for_writes()
        _log.info("took the partition", extra={"facts": {"partition": self.partition, "epoch": epoch}})
        self.epoch = epoch

    def _wait_for_writes(self) -> int:
        """Wait for the writes that were let through for a former owner; returns the epoch of the claim."""
        fenced = rf"current_owners.{{1,30}}\({self.partition}[,)]"
        deadline = time.monotonic() + _WAIT_S
        while True:
            state = self._plain.rows("fence_state", fence_partition=self.partition, fenced=fenced)[0]
            self._ensure(int(state["owner"]))
            if not state["under_way"]:
                return int(state["epoch"])
            if time.monotonic() > deadline:
                raise StoreUnavailableError(
                    f"{state['under_way']} writes of the former owner of partition {self.partition} are under way"
                )
            time.sleep(_LOOK_S)

    def _ensure(self, owner: int) -> None:
        if owner != self.owner:
            raise self._lost()

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What the fence refused is a lost partition."""
        try:
            yield
        except StoreQueryError as error:
            if error.store_code == _REFUSED:
                raise self._lost() from error
            raise

    def _lost(self) -> LostPartitionError:
        whose = f"epoch {self.epoch}" if self.epoch else "no epoch yet"
        return LostPartitionError(
            f"Partition {self.partition} of the log belongs to another mill: this one ({whose}) writes nothing more"
        )
