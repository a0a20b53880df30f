"""Trims and erases: entries leave a stream's files at once, and the replicas' own logs within minutes.

Measured: a removed message is overwritten in the stream's files of all nodes within 1 s, and stays up to 182 s in the
replication log of each node, until its next snapshot. So bytes count as erased SETTLE_S after the last removal, when
every replica is in step.
"""

import asyncio
import datetime
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from tidemill.log.jetstream.link import ApiError, JetStreamLink
from tidemill.log.jetstream.names import StreamNames
from tidemill.log.jetstream.reader import JetStreamLogReader
from tidemill.log.jetstream.records import Message
from tidemill.log.limits import LogLimits

SETTLE_S: Final = 300.0
SLICE_COUNT: Final = 1000
ENTRY_BYTES: Final = 300  # of an entry beside its body
_NO_MESSAGES: Final = frozenset({10037, 10043, 10057})


class Removal:
    """Removes entries of the partition that `reader` reads. `settle_s`: see SETTLE_S."""

    def __init__(
        self,
        link: JetStreamLink,
        reader: JetStreamLogReader,
        names: StreamNames,
        *,
        limits: LogLimits,
        now_ns: Callable[[], int],
        settle_s: float = SETTLE_S,
    ) -> None:
        self._link, self._reader, self._names, self._limits, self._now_ns = link, reader, names, limits, now_ns
        self.settle_s = settle_s
        self._removed_s = time.monotonic()  # another process may have removed something just before
        self._sending = asyncio.Lock()

    async def trim(self, confirmed: int) -> int:
        """Remove entries with seq <= `confirmed` that the limits no longer keep; returns how many."""
        info = await self._info()
        now_ns = min(self._now_ns(), _instant_ns(info["ts"]))
        older_than_ns = now_ns - int(self._limits.keep_applied_s * 1e9)
        excess = int(info["state"]["bytes"]) - self._limits.keep_bytes
        after, cut, count, freed = 0, 0, 0, 0
        while records := await self._reader.records(after, SLICE_COUNT, 8 << 20):
            for record in records:
                young = record.head.received_ns >= older_than_ns and freed >= excess
                if record.seq > confirmed or young:
                    await self._purge(cut)
                    return count
                cut, count, freed = record.seq, count + 1, freed + record.head.size + ENTRY_BYTES
            after = records[-1].seq
        await self._purge(cut)
        return count

    async def erase(self, seqs: Sequence[int], upto_offset: int) -> bool:
        """Remove these entries; whether their bytes are gone on every node. Saves `upto_offset` then."""
        for seq in seqs:
            await self._remove_entry(seq)
        if time.monotonic() - self._removed_s < self.settle_s or not await self._is_in_step():
            return False
        await self.raise_mark(self._names.erased_mark, upto_offset)
        return True

    async def raise_mark(self, subject: str, offset: int) -> None:
        """Write the offset into a mark, unless a newer one is there."""
        if offset > await self._reader.read_mark(subject):
            await self._link.send([Message(subject, b"%d" % offset, {})], self._sending, 5)

    async def _remove_entry(self, seq: int) -> None:
        records = await self._reader.records(seq - 1, 1, 0)
        if not records or records[0].seq != seq:
            return  # removed before
        for number in range(seq - records[0].head.parts, seq + 1):  # the last message last: it names the others
            try:
                await self._link.api(f"STREAM.MSG.DELETE.{self._names.stream}", {"seq": number})
            except ApiError as error:
                if error.code not in _NO_MESSAGES:
                    raise
        self._removed_s = time.monotonic()

    async def _purge(self, cut: int) -> None:
        if cut:
            request = {"filter": self._names.removable, "seq": cut + 1}
            await self._link.api(f"STREAM.PURGE.{self._names.stream}", request, 60)
            self._removed_s = time.monotonic()

    async def _is_in_step(self) -> bool:
        cluster = (await self._info()).get("cluster") or {}
        return all(
            replica.get("current") and not replica.get("offline") and not replica.get("lag")
            for replica in cluster.get("replicas") or []
        )

    async def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = await self._link.api(f"STREAM.INFO.{self._names.stream}")
        return info


def _instant_ns(text: str) -> int:
    """A time of JetStream (RFC 3339), ns since the epoch; below a second it is cut off."""
    return int(datetime.datetime.fromisoformat(text[:19] + "+00:00").timestamp()) * 10**9
