"""Reads one partition of the log from any process, by direct gets that any replica answers.

A replica may be behind, so the end of the log is what the stream's leader says: after a replica has no more, the leader
is asked for the next entry. A reader therefore sees every acknowledged entry, from whichever process.
"""

import base64
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tidemill.errors import LogUnavailableError
from tidemill.log.contract import Capability, FileFault, Header, SelfCheck
from tidemill.log.damage import Damages, LogDamage
from tidemill.log.jetstream.link import ApiError, JetStreamLink, NoAnswerError
from tidemill.log.jetstream.names import StreamNames
from tidemill.log.jetstream.records import (
    MSG_ID,
    StoredRecord,
    entry_of_record,
    header_of_record,
    part_id,
    read_record,
)
from tidemill.model.offset import seq_of, start_of
from tidemill.model.payload import LogEntry

CAPABILITIES: Final = frozenset({Capability.RECEIPTS, Capability.IDEMPOTENCY, Capability.ERASURE})
IMPLEMENTATION: Final = "jetstream"
_PAGE_COUNT: Final = 1000
_PAGE_BYTES: Final = 8 << 20
_NO_MESSAGE: Final = 10037
_NO_STREAM: Final = 10059
_LATE_NS: Final = 15 * 10**9  # an entry may be stored so long after its receipt was made
_EARLY_S: Final = 5
_UNBOUNDED: Final = 1 << 62
_FRAME_BYTES: Final = 1024  # of a message beside its data, generously


class JetStreamLogReader:
    """Reads the partition of `names`; thread-safe. `quiet`: the caller reports damages."""

    capabilities: Final = CAPABILITIES

    def __init__(self, link: JetStreamLink, names: StreamNames, *, quiet: bool = False) -> None:
        self._link, self._names = link, names
        self._start = start_of(names.partition)
        self.damages = Damages(Path(names.stream), quiet=quiet)

    def read(self, after: int, max_count: int, max_bytes: int) -> list[LogEntry]:
        """See `PartitionReader.read`; `max_bytes` counts bodies."""
        return self._link.call(self, lambda: self._read(after, max_count, max_bytes))

    def headers(self, after: int, max_count: int) -> list[Header]:
        """See `PartitionReader.headers`; bodies up to 1 MiB are read all the same."""

        async def read_headers() -> list[Header]:
            records = await self.records(self._seq(after), max_count, _UNBOUNDED)
            return [header_of_record(self._start + record.seq, record) for record in records]

        return self._link.call(self, read_headers)

    def entries_at(self, seqs: Sequence[int]) -> list[LogEntry]:
        """See `BacklogReader.entries_at`."""
        return self._link.call(self, lambda: self._entries_at(seqs))

    def deletions(self, after: int) -> list[LogEntry]:
        """See `PartitionReader.deletions`; by the subject of the deletions."""

        async def read_deletions() -> list[LogEntry]:
            entries: list[LogEntry] = []
            seq = self._seq(after)
            while records := await self.records(seq, _PAGE_COUNT, _PAGE_BYTES, self._names.deletions):
                entries += [await self._entry(record) for record in records]
                seq = records[-1].seq
            return entries

        return self._link.call(self, read_deletions)

    def find(self, tenant: str, receipt: str) -> LogEntry | None:
        """See `ReceiptIndex.find`; reads what was stored from the receipt's time on, about 15 s of it at most."""
        return self._link.call(self, lambda: self._find(tenant, receipt))

    def erased(self) -> int:
        """See `PartitionReader.erased`."""
        return self._link.call(self, lambda: self.read_mark(self._names.erased_mark))

    def first_seq(self) -> int:
        """See `PartitionReader.first_seq`."""

        async def read_first() -> int:
            message = await self._get({"seq": 1, "next_by_subj": self._names.entries})
            return self._start + int(message["seq"]) if message else 0

        return self._link.call(self, read_first)

    def last_seq(self) -> int:
        """See `PartitionReader.last_seq`: by the leader."""
        return self._start + self._link.call(self, self.last_of_stream)

    def known_damages(self) -> list[LogDamage]:
        """See `PartitionReader.known_damages`."""
        return self.damages.known

    def self_check(self, *, whole: bool) -> SelfCheck:
        """See `PartitionReader.self_check`: the newest acknowledged offset, and replicas that are behind."""
        try:
            info = self._link.call(self, lambda: self._link.api(f"STREAM.INFO.{self._names.stream}"))
            mark = self._link.call(self, lambda: self.read_mark(self._names.high_mark))
        except LogUnavailableError as error:
            return SelfCheck(0, (FileFault(f"stream {self._names.stream}", "its leader answers", error.message),))
        behind = [replica["name"] for replica in info.get("cluster", {}).get("replicas") or [] if is_offline(replica)]
        faults = [FileFault(f"replica {name}", "in step", "offline") for name in behind]
        return SelfCheck(max(mark, self._start + int(info["state"]["last_seq"])), tuple(faults))

    def close(self) -> None:
        """Release the connection; a later call opens it again."""
        self._link.release(self)

    async def last_of_stream(self) -> int:
        """The newest seq of the stream, also when it is removed; 0: none, or no stream yet."""
        try:
            info = await self._link.api(f"STREAM.INFO.{self._names.stream}")
        except ApiError as error:
            if error.code == _NO_STREAM:
                return 0
            raise
        return int(info["state"]["last_seq"])

    async def records(
        self, after: int, max_count: int, max_bytes: int, subject: str = "", start_time: str = ""
    ) -> list[StoredRecord]:
        """The records of entries after a seq, at least one if there is one, up to both limits. Damaged heads are
        named, and left out."""
        records: list[StoredRecord] = []
        size, subject = 0, subject or self._names.entries
        while len(records) < max_count:
            page, ended = await self._page(after, max_count - len(records), max_bytes - size, subject, start_time)
            start_time = ""
            for seq, data in page:
                after = seq
                record = self._record(seq, data)
                if record is None:
                    continue
                size += record.head.size
                if records and (size > max_bytes or len(records) >= max_count):
                    return records
                records.append(record)
            if ended:
                break
        return records

    async def _page(
        self, after: int, count: int, size: int, subject: str, start_time: str
    ) -> tuple[list[tuple[int, bytes]], bool]:
        """Messages after a seq, and whether the log ends there."""
        asked = {
            "batch": min(count, _PAGE_COUNT),
            "max_bytes": min(max(size, 0) + (1 << 20) + _FRAME_BYTES * min(count, 4096), _PAGE_BYTES),
            "next_by_subj": subject,
        }
        asked |= {"start_time": start_time} if start_time else {"seq": after + 1}
        answers = await self._link.get_direct(self._names.stream, asked)
        page = [(int((m.headers or {})["Nats-Sequence"]), m.data) for m in answers[:-1]]
        status = answers[-1].headers or {}
        last = int(status.get("Nats-Last-Sequence", 0))
        if status.get("Status") == "204" and page and last and page[-1][0] != last:
            raise NoAnswerError("messages were lost on their way")
        if status.get("Status") == "204" and int(status.get("Nats-Num-Pending", 0)) > 0:
            return page, False
        if status.get("Status") not in {"204", "404"}:
            raise NoAnswerError(f"a direct get answered {status}")
        if start_time and not page:
            after = max(0, await self.last_of_stream() - _PAGE_COUNT)
        message = await self._get({"seq": (page[-1][0] if page else after) + 1, "next_by_subj": subject})
        if message is None:
            return page, True
        return [*page, (int(message["seq"]), base64.b64decode(message.get("data", "")))], False

    async def _get(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """A message, from the leader; None: there is none, or no stream yet."""
        try:
            answer: dict[str, Any] = await self._link.api(f"STREAM.MSG.GET.{self._names.stream}", request)
        except ApiError as error:
            if error.code in {_NO_MESSAGE, _NO_STREAM}:
                return None
            raise
        return dict(answer["message"])

    async def get_last(self, subject: str) -> tuple[int, bytes] | None:
        """The newest message of a subject of the partition's stream, from the leader: its seq and data."""
        message = await self._get({"last_by_subj": subject})
        return None if message is None else (int(message["seq"]), base64.b64decode(message.get("data", "")))

    async def read_mark(self, subject: str) -> int:
        """The offset in a mark; 0: it was never written."""
        try:
            answer = await self._link.api(f"STREAM.MSG.GET.{self._names.marks}", {"last_by_subj": subject})
        except ApiError as error:
            if error.code in {_NO_MESSAGE, _NO_STREAM}:
                return 0
            raise
        return int(base64.b64decode(answer["message"]["data"]))

    async def _read(self, after: int, max_count: int, max_bytes: int) -> list[LogEntry]:
        records = await self.records(self._seq(after), max_count, max_bytes)
        return [await self._entry(record) for record in records]

    async def _entries_at(self, seqs: Sequence[int]) -> list[LogEntry]:
        wanted = [seq_of(seq) for seq in seqs]
        entries: list[LogEntry] = []
        number = 0
        while number < len(wanted):
            # neighbours come in one answer; a far one begins an answer of its own
            end = number
            while end + 1 < len(wanted) and wanted[end + 1] - wanted[end] <= 8:
                end += 1
            chosen = set(wanted[number : end + 1])
            after, last = wanted[number] - 1, wanted[end]
            while after < last:
                records = await self.records(after, last - after, _PAGE_BYTES)
                entries += [await self._entry(record) for record in records if record.seq in chosen]
                if not records:
                    break
                after = records[-1].seq
            number = end + 1
        return entries

    async def _entry(self, record: StoredRecord) -> LogEntry:
        parts = await self._parts(record) if record.head.parts else []
        entry = entry_of_record(self._start + record.seq, record, parts)
        if entry.damage:
            payload = entry.payload
            self.damages.add(LogDamage(entry.seq, entry.damage, payload.receipt, payload.tenant, payload.feed))
        return entry

    async def _parts(self, record: StoredRecord) -> list[bytes | None]:
        """The earlier parts of a body: the messages before the entry's, as one batch stores them."""
        count, first = record.head.parts, record.seq - record.head.parts
        parts: list[bytes | None] = [None] * count
        number = 0
        while number < count:
            request = {"seq": first + number, "batch": min(8, count - number), "next_by_subj": self._names.parts}
            answers = (await self._link.get_direct(self._names.stream, request))[:-1]
            before = number
            for answer in answers:
                headers = answer.headers or {}
                if headers.get(MSG_ID) == part_id(record.head.receipt, number):
                    parts[number] = answer.data
                    number += 1
            if number == before:  # the replica is behind, or the part is not there: the leader knows
                message = await self._get({"seq": first + number})
                if message is None or message["subject"] != self._names.parts:
                    return parts
                parts[number] = base64.b64decode(message.get("data", ""))
                number += 1
        return parts

    async def _find(self, tenant: str, receipt: str) -> LogEntry | None:
        made_ns = receipt_ns(receipt)
        if made_ns is None:
            return None
        after, start_time = 0, rfc3339(made_ns // 10**9 - _EARLY_S)
        while records := await self.records(after, _PAGE_COUNT, _PAGE_BYTES, start_time=start_time):
            start_time = ""
            for record in records:
                if record.head.receipt == receipt:
                    return await self._entry(record) if record.head.tenant == tenant else None
            if min(record.head.received_ns for record in records) > made_ns + _LATE_NS:
                return None
            after = records[-1].seq
        return None

    def _record(self, seq: int, data: bytes) -> StoredRecord | None:
        record = read_record(seq, data)
        if record is None:
            what = "the columns beside its body do not match their checksum"
            self.damages.add(LogDamage(self._start + seq, what, lost=True))
        return record

    def _seq(self, after: int) -> int:
        return max(0, after - self._start)


def is_offline(replica: dict[str, Any]) -> bool:
    """Whether a replica of a stream is down, as the stream's leader sees it."""
    return bool(replica.get("offline"))


def receipt_ns(receipt: str) -> int | None:
    """The time in a receipt (a UUIDv7), ns since the epoch; None when it is no receipt."""
    try:
        return int(receipt.replace("-", "")[:12], 16) * 1_000_000
    except ValueError:
        return None


def rfc3339(seconds: int) -> str:
    """A time in seconds since the epoch as JetStream reads it."""
    return datetime.datetime.fromtimestamp(max(0, seconds), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
