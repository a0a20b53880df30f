"""A log over plain files, written against the contract alone: durable, without the capabilities of a database.

A partition is a file of records (two lengths, a checksum, the head, the body), each synced to disk before it is
acknowledged, and a small file with the durable size, which readers respect. It has a receipt index, unless it is opened
without; it takes no idempotency keys, and erases nothing.
"""

import asyncio
import hashlib
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tidemill.errors import Fault, LogUnavailableError
from tidemill.lock import FolderLock
from tidemill.log.contract import Appended, Capability, FileFault, Header, LogHealth, SelfCheck, capability_error
from tidemill.log.damage import Damages, LogDamage
from tidemill.model.offset import start_of
from tidemill.model.payload import EntryKind, LogEntry, Payload

ENTRIES, DURABLE = "entries", "durable"
_PREFIX = struct.Struct(">III")  # bytes of the head, bytes of the body, CRC-32 of both and the head
_END = struct.Struct(">QQI")  # bytes of the file that are durable, the newest offset, CRC-32 of both


class Head(msgspec.Struct, array_like=True):
    """A payload without its body."""

    seq: int
    receipt: str
    tenant: str
    feed: str
    feed_version: int
    received_ns: int
    format: str
    sha256: bytes
    kind: EntryKind
    faults: tuple[Fault, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Head).decode


class Slot(NamedTuple):
    """The byte offset and size of the body of an entry in the file."""

    head: Head
    at: int
    size: int


def _record(head: Head, body: bytes) -> bytes:
    raw = _encode(head)
    lengths = struct.pack(">II", len(raw), len(body))
    return _PREFIX.pack(len(raw), len(body), zlib.crc32(lengths + raw)) + raw + body


class FileLogReader:
    """Reads one partition in `folder`, from any process."""

    def __init__(self, folder: Path, partition: int = 0, *, index: bool = True) -> None:
        self.folder, self.start = folder, start_of(partition)
        self.capabilities = frozenset({Capability.RECEIPTS} if index else ())
        self.damages = Damages(folder / ENTRIES, quiet=True)
        self._lock = threading.Lock()
        self._slots: list[Slot] = []
        self._scanned = 0

    def _durable(self) -> tuple[int, int]:
        """The durable size in bytes and the newest durable offset."""
        try:
            content = (self.folder / DURABLE).read_bytes()
        except FileNotFoundError:
            return 0, self.start
        size, seq, checksum = _END.unpack(content)
        if checksum != zlib.crc32(content[:16]):
            raise LogUnavailableError(f"{self.folder / DURABLE} is damaged")
        return size, seq

    def _refreshed(self) -> list[Slot]:
        """All entries, after scanning those appended since the last call."""
        with self._lock:
            end, _ = self._durable()
            if end > self._scanned:
                with (self.folder / ENTRIES).open("rb") as file:
                    self._scan(file, end)
            return self._slots[:]

    def _scan(self, file: Any, end: int) -> None:
        while self._scanned < end:
            file.seek(self._scanned)
            prefix = file.read(_PREFIX.size)
            head_bytes, body_bytes, checksum = _PREFIX.unpack(prefix)
            raw = file.read(head_bytes) if self._scanned + head_bytes + body_bytes < end else b""
            if zlib.crc32(prefix[:8] + raw) != checksum:
                what = f"what begins at byte {self._scanned} is no record, and hides what follows"
                self.damages.add(LogDamage(0, what))
                self._scanned = end
                return
            at = self._scanned + _PREFIX.size + head_bytes
            self._slots.append(Slot(_decode(raw), at, body_bytes))
            self._scanned = at + body_bytes

    def _loaded(self, slot: Slot) -> LogEntry:
        with (self.folder / ENTRIES).open("rb") as file:
            file.seek(slot.at)
            body = file.read(slot.size)
        fields = msgspec.structs.asdict(slot.head)
        seq = fields.pop("seq")
        payload = Payload(body=body, **fields)
        damage = "" if hashlib.sha256(body).digest() == payload.sha256 else "its body does not match its sha256"
        if damage:
            self.damages.add(LogDamage(seq, damage, payload.receipt, payload.tenant, payload.feed))
        return LogEntry(seq, payload, damage)

    def read(self, after: int, max_count: int, max_bytes: int) -> list[LogEntry]:
        taken: list[LogEntry] = []
        size = 0
        for slot in self._refreshed():
            if slot.head.seq <= after:
                continue
            size += slot.size
            if taken and (size > max_bytes or len(taken) >= max_count):
                break
            taken.append(self._loaded(slot))
        return taken

    def headers(self, after: int, max_count: int) -> list[Header]:
        heads = [(slot.head, slot.size) for slot in self._refreshed() if slot.head.seq > after][:max_count]
        return [Header(h.seq, h.tenant, h.feed, h.kind, size, h.received_ns) for h, size in heads]

    def entries_at(self, seqs: Sequence[int]) -> list[LogEntry]:
        return [self._loaded(slot) for slot in self._refreshed() if slot.head.seq in set(seqs)]

    def deletions(self, after: int) -> list[LogEntry]:
        slots = [slot for slot in self._refreshed() if slot.head.seq > after and slot.head.kind is EntryKind.DELETE]
        return [self._loaded(slot) for slot in slots]

    def find(self, tenant: str, receipt: str) -> LogEntry | None:
        if Capability.RECEIPTS not in self.capabilities:
            raise capability_error("files", Capability.RECEIPTS)
        same = [s for s in self._refreshed() if (s.head.tenant, s.head.receipt) == (tenant, receipt)]
        return self._loaded(same[0]) if same else None

    def erased(self) -> int:
        return 0

    def first_seq(self) -> int:
        slots = self._refreshed()
        return slots[0].head.seq if slots else 0

    def last_seq(self) -> int:
        return self._durable()[1]

    def known_damages(self) -> list[LogDamage]:
        return self.damages.known

    def self_check(self, *, whole: bool) -> SelfCheck:
        try:
            end, seq = self._durable()
        except LogUnavailableError as error:
            return SelfCheck(0, (FileFault(DURABLE, "how far the file is durable", error.message),))
        size = (self.folder / ENTRIES).stat().st_size if end else 0
        return SelfCheck(seq, (FileFault(ENTRIES, f"{end} bytes", f"{size} bytes"),) if size < end else ())

    def close(self) -> None:
        pass


class FileLog(FileLogReader):
    """The only writer of a partition, and by itself a log of one partition."""

    def __init__(self, folder: Path, partition: int = 0, *, index: bool = True) -> None:
        super().__init__(folder, partition, index=index)
        folder.mkdir(parents=True, exist_ok=True)
        self._owner = FolderLock(folder, "owner.lock")
        self._appending = threading.Lock()
        self._entries = os.open(folder / ENTRIES, os.O_RDWR | os.O_CREAT, 0o600)
        self._end = os.open(folder / DURABLE, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._end).st_size == 0:
            self._note(0, self.start)
        self._size, self._last = self._durable()
        os.ftruncate(self._entries, self._size)  # what was torn was never acknowledged
        self._is_open = True

    @property
    def partitions(self) -> "Sequence[FileLog]":
        return (self,)

    def append(self, payload: Payload, *, idempotency_key: str | None = None) -> Future[Appended]:
        future: Future[Appended] = Future()
        try:
            if idempotency_key is not None:
                raise capability_error("files", Capability.IDEMPOTENCY)
            with self._appending:
                future.set_result(self._appended(payload))
        except Exception as error:
            unavailable = LogUnavailableError(f"the payload cannot be written to the log: {error}")
            future.set_exception(unavailable if isinstance(error, OSError | ValueError) else error)
        return future

    async def append_async(self, payload: Payload, idempotency_key: str | None = None) -> Appended:
        return await asyncio.to_thread(lambda: self.append(payload, idempotency_key=idempotency_key).result())

    def _appended(self, payload: Payload) -> Appended:
        if not self._is_open:
            raise LogUnavailableError("the log is closed")
        fields = {name: getattr(payload, name) for name in Head.__struct_fields__[1:]}
        record = _record(Head(self._last + 1, **fields), payload.body)
        written = os.pwrite(self._entries, record, self._size)
        if written < len(record):
            raise OSError(f"only {written} of {len(record)} bytes could be written")
        os.fdatasync(self._entries)
        self._note(self._size + len(record), self._last + 1)
        self._size, self._last = self._size + len(record), self._last + 1
        return Appended(self._last, payload.receipt, payload.received_ns)

    def _note(self, size: int, seq: int) -> None:
        content = struct.pack(">QQ", size, seq)
        os.pwrite(self._end, content + struct.pack(">I", zlib.crc32(content)), 0)
        os.fdatasync(self._end)

    def trim(self, confirmed: int) -> int:
        raise capability_error("files", Capability.ERASURE)

    def erase(self, seqs: Sequence[int], upto_offset: int) -> bool:
        raise capability_error("files", Capability.ERASURE)

    def mend(self, seq: int, body: bytes) -> bool:
        raise capability_error("files", Capability.REPAIR)

    def health(self) -> LogHealth:
        return LogHealth(
            implementation="files",
            accepting=self._is_open,
            reason="" if self._is_open else "it is closed",
            first_seq=self.first_seq(),
            last_seq=self._last,
            size_bytes=self._size,
            free_bytes=shutil.disk_usage(self.folder).free,
            clock_doubt="",
            details={},
            degraded=self.damages.summary(),
        )

    def close(self) -> None:
        with self._appending:
            if self._is_open:
                self._is_open = False
                os.close(self._entries)
                os.close(self._end)
                self._owner.release()
