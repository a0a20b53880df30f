"""One partition of the log over JetStream as servers and mills use it; any number of processes append at once.

Composes the parts: `committer.py` commits, `reader.py` reads, `removal.py` trims and erases, `streams.py` sets up.
Keeps the promises of `log/contract.py`. A removed entry leaves the log whole: its head goes with its body.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from tidemill.errors import LogCorruptError, LogUnavailableError, StartupError, TidemillError
from tidemill.log.contract import Appended, Capability, LogHealth, capability_error
from tidemill.log.jetstream import streams
from tidemill.log.jetstream.committer import Committer
from tidemill.log.jetstream.link import JetStreamLink
from tidemill.log.jetstream.names import StreamNames
from tidemill.log.jetstream.reader import IMPLEMENTATION, JetStreamLogReader, is_offline
from tidemill.log.jetstream.records import messages_of
from tidemill.log.jetstream.removal import Removal
from tidemill.log.limits import LogLimits
from tidemill.log.waiters import Waiter
from tidemill.model.offset import seq_of
from tidemill.model.payload import Payload

_log = logging.getLogger(__name__)
MARK_EVERY_S: Final = 10.0


class JetStreamLog(JetStreamLogReader):
    """The partition of `names`, whose streams are made with `replicas` where they are missing, for a log of
    `partitions`: a partition, and also a log of one partition.

    Raises StartupError (no server answers, or a stream is set up in another way). A stream that ends before its mark or
    before `known_offset`, the newest offset that the store or a checkpoint names, has lost its end: the log stays
    readable and refuses payloads. `now_ns` is the clock, ns since the epoch; `monitors` are the URLs of the nodes'
    monitors, for health.
    """

    def __init__(
        self,
        link: JetStreamLink,
        names: StreamNames,
        *,
        replicas: int = 3,
        partitions: int = 1,
        limits: LogLimits | None = None,
        known_offset: int = 0,
        now_ns: Callable[[], int] = time.time_ns,
        monitors: Sequence[str] = (),
    ) -> None:
        super().__init__(link, names)
        self._limits, self._monitors = limits or LogLimits(), tuple(monitors)
        self._free: tuple[float, int] = (-1e9, 0)
        try:
            last, known = link.call(
                self, lambda: self._opened(streams.log_stream(names, replicas, partitions), known_offset)
            )
        except LogUnavailableError as error:
            link.release(self)
            raise StartupError(f"The log in TIDEMILL_LOG cannot be opened: {error.message}") from error
        except TidemillError:
            link.release(self)
            raise
        self._committer = Committer(
            link,
            self,
            key_subject=names.key,
            limits=self._limits,
            partition=names.partition,
            highest=max(last, known),
        )
        if last < known:
            self._committer.lost = _lost_end(names.stream, last, known)
            _log.error("payloads are refused: %s", self._committer.lost.message)
        self._removal = Removal(link, self, names, limits=self._limits, now_ns=now_ns)
        self._marked_s, self._closed = time.monotonic(), False

    async def _opened(self, stream: dict[str, Any], known_offset: int) -> tuple[int, int]:
        """The newest seq of the stream, and the newest that was known."""
        await self._link.connect()
        await streams.ensure_stream(self._link, stream)
        await streams.ensure_stream(self._link, streams.marks_stream(self._names, stream["num_replicas"]))
        mark = await self.read_mark(self._names.high_mark)
        return await self.last_of_stream(), max(seq_of(known_offset), seq_of(mark))

    @property
    def partitions(self) -> "Sequence[JetStreamLog]":
        """See `LogReader.partitions`."""
        return (self,)

    def append(self, payload: Payload, *, idempotency_key: str | None = None) -> Future[Appended]:
        """Queue a payload; see `IntakeLog.append`."""
        future: Future[Appended] = Future()
        try:
            self._put(Waiter(payload, idempotency_key, future, None))
        except TidemillError as error:
            future.set_exception(error)
        return future

    async def append_async(self, payload: Payload, idempotency_key: str | None = None) -> Appended:
        """See `IntakeLog.append_async`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Appended] = loop.create_future()
        self._put(Waiter(payload, idempotency_key, future, loop))
        return await future

    def _put(self, waiter: Waiter) -> None:
        try:
            messages = messages_of(waiter.payload, self._names)
        except ValueError as error:
            raise LogUnavailableError(f"the payload cannot be written to the log: {error}") from error
        self._committer.put(waiter, messages)

    def trim(self, confirmed: int) -> int:
        """See `Erasable.trim`; an entry is old when both this clock and that of the stream's leader say so."""
        return self._link.call(self, lambda: self._removal.trim(seq_of(confirmed)), 600)

    def erase(self, seqs: Sequence[int], upto_offset: int) -> bool:
        """See `Erasable.erase`, but the entries leave the log whole. True about 300 s after the last was removed."""
        return self._link.call(self, lambda: self._removal.erase([seq_of(seq) for seq in seqs], upto_offset), 600)

    def mend(self, seq: int, body: bytes) -> bool:
        """Refuse: a message cannot be replaced."""
        raise capability_error(IMPLEMENTATION, Capability.REPAIR)

    def health(self) -> LogHealth:
        """See `IntakeLog.health`."""
        lost, highest = self._committer.lost, self._committer.highest  # before the stream is asked, which grows
        reason, first, degraded = lost.message if lost else self._committer.refused, 0, self.damages.summary()
        info: dict[str, Any] = {"state": {}}
        try:
            info = self._link.call(self, self._info, 5)
            first = seq_of(self.first_seq())
        except LogUnavailableError as error:
            reason = reason or error.message
        state, cluster = info["state"], info.get("cluster") or {}
        last = int(state.get("last_seq", 0))
        if not reason and last < highest:
            reason = f"the stream ends at {last}, but {highest} was acknowledged: its end is lost"
        offline = [replica["name"] for replica in cluster.get("replicas") or [] if is_offline(replica)]
        if offline:
            degraded = "; ".join(filter(None, [degraded, f"NATS node {', '.join(offline)} is down"]))
        return LogHealth(
            implementation=IMPLEMENTATION,
            accepting=not reason,
            reason=reason,
            degraded=degraded,
            first_seq=first,
            last_seq=last,
            size_bytes=int(state.get("bytes", 0)),
            free_bytes=self._free_bytes(),
            clock_doubt="",
            details={
                "stream": self._names.stream,
                "leader": str(cluster.get("leader", "")),
                "replicas": str(len(cluster.get("replicas") or []) + 1),
                "commits": str(self._committer.commits),
            },
        )

    def close(self) -> None:
        """Commit queued payloads, mark the newest offset, then release the connection. Harmless when repeated."""
        if not self._closed:
            self._closed = True
            self._committer.close()
            with contextlib.suppress(LogUnavailableError):  # the stream itself is durable
                self._link.call(self, self._raise_high_mark, 5)
        super().close()

    async def _raise_high_mark(self) -> None:
        if self._committer.lost is not None:
            return
        await self._removal.raise_mark(self._names.high_mark, self._start + self._committer.highest)

    async def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = await self._link.api(f"STREAM.INFO.{self._names.stream}", timeout_s=2)
        if time.monotonic() - self._marked_s >= MARK_EVERY_S:
            self._marked_s = time.monotonic()
            await self._raise_high_mark()
        return info

    def _free_bytes(self) -> int:
        """What the fullest node may still take, asked every 10 s; 0: no monitor answers."""
        if time.monotonic() - self._free[0] > MARK_EVERY_S:
            known = [one for one in streams.read_nodes(self._monitors).values() if isinstance(one, streams.NodeState)]
            self._free = (time.monotonic(), min((one.free_bytes for one in known), default=0))
        return self._free[1]


def _lost_end(stream: str, last: int, known: int) -> LogCorruptError:
    return LogCorruptError(
        f"the stream {stream} ends at {last} but was durable up to {known}, so entries {last + 1} to {known} are lost. "
        "Restore the stream, or open a new log with another name (TIDEMILL_LOG=nats://…/NAME)"
    )
