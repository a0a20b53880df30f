"""The store of a mill: fenced, so that a mill that lost its partition writes nothing any more.

A mill claims its partition in the store (table `owners`) before it reads anything there, with an epoch above all
earlier ones. Every INSERT and DELETE checks in the same statement that the mill still owns the partition. After a claim
the mill waits until no write that was admitted for an earlier owner is under way. From then on only its own writes
change what it reads, whatever an earlier owner still believes or sends.
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
_WAIT_S: Final = 2.0  # for writes under way; then the mill reports that it waits, and goes on waiting
_LOOK_S: Final = 0.02
_ONE_THREAD: Final = "max_threads = 1"  # a second one costs a small INSERT 0.5 ms, and gains a large one nothing


def _at_once() -> None:
    """No call waits."""


class FencedStore(Store):
    """`store` for the mill of one partition, which the first call claims. Thread-safe. `wait` is called before each
    call to the store, in the thread of the call; what it raises is raised by the call.

    Raises what Store raises, and LostPartitionError from the first call and from every write once another mill owns the
    partition (such a write stores nothing). Reads go on. `epoch`: that of the claim, 0 before it.
    """

    def __init__(
        self,
        store: Store,
        partition: int,
        clock: Callable[[], int] = time.time_ns,
        wait: Callable[[], None] = _at_once,
    ) -> None:
        super().__init__(store.address, settings=store._settings, queries=store._queries, timeout_s=store._timeout_s)
        self._connections = store._connections
        self.partition = partition
        self.owner = secrets.randbits(63) + 1  # 0: no owner
        self.epoch = 0
        self._plain = store
        self._clock = clock
        self._wait = wait
        self._fence = {"fence_partition": partition, "fence_owner": self.owner}
        self._claim_lock = threading.Lock()
        self._claimed = False
        self._columns: dict[str, dict[str, str]] = {}

    def claim(self) -> None:
        """Claim the partition, unless this is done. Raises StoreUnavailableError while writes of its former owner are
        under way (call again), LostPartitionError when another mill claimed it meanwhile."""
        if self.epoch:
            return
        with self._claim_lock, self._counted():
            self._claim()

    def ensure_owner(self) -> None:
        """Raise LostPartitionError when another mill owns the partition."""
        self._ensure(int(self.rows("fence_owner", fence_partition=self.partition)[0]["owner"]))

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """See `Store.insert`."""
        with self._refusing():
            super().insert(table, frame)

    def command(self, query: str, /, **values: Any) -> None:
        """See `Store.command`; the parameters of the fence are bound here."""
        statement = self._query_of(query)
        if statement.sql.startswith("ALTER"):
            self.ensure_owner()
        if not statement.params >= _FENCED:
            super().command(query, **values)
            return
        with self._refusing():
            super().command(query, **values, **self._fence)
        if statement.sql.startswith("DELETE"):
            self.ensure_owner()

    def _call(self, work: Callable[[Client], _T], read_sql: str = "") -> _T:
        self._wait()
        self.claim()
        return super()._call(work, read_sql)

    def _into(self, table: str, columns: Sequence[str]) -> str:
        """See `Store._into`: a SELECT of the same columns that the fence can refuse."""
        if table not in self._columns:
            columns_by_table: dict[str, dict[str, str]] = {}
            for row in self.rows("fence_columns"):
                columns_by_table.setdefault(row["table"], {})[row["name"]] = row["type"]
            self._columns = columns_by_table
        types = self._columns.get(table, {})
        structure = ", ".join(f"`{name}` {types.get(name, 'String')}" for name in columns)
        quoted = structure.replace("\\", "\\\\").replace("'", "\\'")
        return (
            f"{super()._into(table, columns)} SETTINGS {_ONE_THREAD} SELECT * FROM input('{quoted}') "
            f"WHERE throwIf(dictGet('current_owners', 'owner', toUInt64({self.partition})) != {self.owner}, "
            "'partition lost') = 0"
        )

    def _claim(self) -> None:
        if self.epoch:  # another thread claimed it meanwhile
            return
        if not self._claimed:
            self._plain.command("fence_claim", now=self._clock(), **self._fence)
            self._claimed = True
        self._plain.command("fence_reload")
        epoch = self._wait_for_writes()
        _log.info("took the partition", extra={"facts": {"partition": self.partition, "epoch": epoch}})
        self.epoch = epoch

    def _wait_for_writes(self) -> int:
        """Wait for the writes that were admitted for a former owner; returns the epoch of the claim."""
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
        """Turn a refusal by the fence into LostPartitionError."""
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
