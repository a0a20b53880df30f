"""Commits payloads to a stream: what came meanwhile goes into one atomic batch, so one sync serves many payloads.

A batch whose outcome is not known is sent again unchanged, each message with its id, until it is known or 10 s have
passed: JetStream stores a message id once. Nothing is acknowledged before a majority of the nodes has synced it.
A payload with an idempotency key goes in a batch of its own, with the record of the key before it.
"""

import asyncio
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from tidemill.errors import ConflictError, DiskFullError, LogCorruptError, LogUnavailableError, TidemillError
from tidemill.log.contract import Appended
from tidemill.log.jetstream.link import ApiError, JetStreamLink, NoAnswerError
from tidemill.log.jetstream.reader import JetStreamLogReader
from tidemill.log.jetstream.records import MSG_ID, Message
from tidemill.log.limits import LogLimits
from tidemill.log.waiters import Outcome, Waiter, fail_waiters, settle_waiters
from tidemill.model.offset import start_of
from tidemill.model.payload import Payload

BATCH_MESSAGES: Final = 256
BATCH_BYTES: Final = 4 << 20
BATCHES: Final = 4  # unacknowledged at once: more would be smaller batches, so more syncs
KEYED: Final = 32  # batches of one keyed payload, below the server's limit of 50 open batches
RETRY_S: Final = 10.0
ATTEMPT_S: Final = 2.0
SLOW_BYTES_PER_S: Final = 4 << 20
_PAUSE_S: Final = 0.05
_DUPLICATE: Final = 10201
_KEY_USED: Final = frozenset({10071, 10164})
_FULL: Final = frozenset({10047, 10077, 10023})


class KeyRecord(msgspec.Struct, array_like=True, frozen=True):
    """What an idempotency key was used for; its payload's last message is `parts` + 1 after it."""

    receipt: str
    sha256: bytes
    received_ns: int
    parts: int


class Queued(msgspec.Struct, gc=False):
    """A payload and its messages."""

    waiter: Waiter
    messages: list[Message]
    size: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(KeyRecord).decode


class Committer:
    """Commits to the stream that `reader` reads. `highest` is the newest seq that is known to be durable."""

    def __init__(
        self,
        link: JetStreamLink,
        reader: JetStreamLogReader,
        *,
        key_subject: Callable[[str], str],
        limits: LogLimits,
        partition: int,
        highest: int,
    ) -> None:
        self._link, self._reader, self._limits = link, reader, limits
        self._key_subject, self._start = key_subject, start_of(partition)
        self._loop = link.loop(reader)
        self._sending = asyncio.Lock()
        self._lock = threading.Lock()
        self._queue: deque[Queued] = deque()
        self._waiting = self._waiting_bytes = 0
        self._woken = self._closed = False
        self._batches = self._keyed = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys: dict[str, asyncio.Task[None]] = {}
        self.highest = highest
        self.commits = 0
        self.lost: LogCorruptError | None = None
        self.refused = ""

    def put(self, waiter: Waiter, messages: list[Message]) -> None:
        """Queue a payload. Raises LogUnavailableError (the queue is full, or closed) or LogCorruptError."""
        size = sum(len(message.data) for message in messages)
        with self._lock:
            if self.lost is not None:
                raise self.lost
            if self._closed:
                raise LogUnavailableError("the log is closed")
            if self._waiting >= self._limits.max_waiting or (
                self._waiting_bytes + size > self._limits.max_waiting_bytes
            ):
                raise LogUnavailableError("too many payloads wait for the log: send again later")
            self._waiting, self._waiting_bytes = self._waiting + 1, self._waiting_bytes + size
            self._queue.append(Queued(waiter, messages, size))
            wake, self._woken = not self._woken, True
        if wake:
            self._loop.call_soon_threadsafe(self._pump)

    def close(self) -> None:
        """Commit what is queued; nothing is queued any more."""
        with self._lock:
            was, self._closed = self._closed, True
        if was:
            return
        deadline = time.monotonic() + RETRY_S + 5
        while time.monotonic() < deadline:
            with self._lock:
                if not self._waiting:
                    return
            time.sleep(0.002)

    def _pump(self) -> None:
        """Start batches while there is something to send and not too much is under way. Runs in the loop."""
        while (batch := self._next_batch()) is not None:
            if batch[0].waiter.key is None:
                self._batches += 1
                task = self._loop.create_task(self._commit_batch(batch))
            else:
                self._keyed += 1
                subject = self._subject_of_key(batch[0].waiter)
                task = self._loop.create_task(self._commit_keyed(batch[0], subject, self._keys.get(subject)))
                self._keys[subject] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next_batch(self) -> list[Queued] | None:
        with self._lock:
            self._woken = False
            if not self._queue:
                return None
            if self._queue[0].waiter.key is not None:
                return [self._queue.popleft()] if self._keyed < KEYED else None
            if self._batches >= BATCHES:
                return None
            batch = [self._queue.popleft()]
            count, size = len(batch[0].messages), batch[0].size
            while self._queue and self._queue[0].waiter.key is None:
                count, size = count + len(self._queue[0].messages), size + self._queue[0].size
                if count > BATCH_MESSAGES or size > BATCH_BYTES:
                    break
                batch.append(self._queue.popleft())
            return batch

    async def _commit_batch(self, batch: list[Queued]) -> None:
        try:
            last = await self._store_surely([message for queued in batch for message in queued.messages], batch)
            outcomes: list[Outcome] = []
            for queued in reversed(batch):
                outcomes.append(self._appended(queued.waiter.payload, last))
                last -= len(queued.messages)
            self._settle(batch, outcomes[::-1])
        except Exception as error:
            self._fail(batch, error)
        finally:
            self._batches -= 1
            self._pump()

    async def _commit_keyed(self, queued: Queued, subject: str, earlier: "asyncio.Task[None] | None") -> None:
        if earlier is not None:  # the same key from this process: one is first
            await asyncio.wait([earlier])
        try:
            self._settle([queued], [await self._store_keyed(queued, subject)])
        except Exception as error:
            self._fail([queued], error)
        finally:
            if self._keys.get(subject) is asyncio.current_task():
                del self._keys[subject]
            self._keyed -= 1
            self._pump()

    async def _store_keyed(self, queued: Queued, subject: str) -> Outcome:
        payload = queued.waiter.payload
        record = KeyRecord(payload.receipt, payload.sha256, payload.received_ns, len(queued.messages) - 1)
        headers = {
            MSG_ID: f"{payload.receipt}.key",
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Nats-TTL": f"{max(1, int(self._limits.keep_keys_s))}s",
        }
        messages, floor = [Message(subject, _encode(record), headers), *queued.messages], self.highest
        try:
            return self._appended(payload, await self._store_surely(messages, [queued]))
        except _KeyUsedError:
            return await self._earlier_use(payload, subject, floor)

    async def _earlier_use(self, payload: Payload, subject: str, floor: int) -> Outcome:
        """The answer to a payload whose key was used, perhaps by an earlier attempt of its own (after `floor`)."""
        deadline = time.monotonic() + ATTEMPT_S
        while (stored := await self._reader.get_last(subject)) is None:
            if time.monotonic() >= deadline:  # whoever used it was not stored after all
                raise LogUnavailableError("the idempotency key is in use by another request: send again")
            await asyncio.sleep(_PAUSE_S)
        seq, record = stored[0], _decode(stored[1])
        if record.receipt != payload.receipt and record.sha256 != payload.sha256:
            return ConflictError(
                f"the idempotency key was used on feed {payload.feed} with another body (receipt {record.receipt}); "
                f"send this body with a key of its own"
            )
        last = seq + record.parts + 1
        self.highest = max(self.highest, last)
        replayed = record.receipt != payload.receipt or last <= floor
        return Appended(self._start + last, record.receipt, record.received_ns, replayed=replayed)

    async def _store_surely(self, messages: list[Message], batch: list[Queued]) -> int:
        """Store all messages or none; the seq of the last. Raises _KeyUsedError, DiskFullError, LogCorruptError or
        LogUnavailableError (the outcome is not known)."""
        slow_s = sum(queued.size for queued in batch) / SLOW_BYTES_PER_S
        floor, deadline, why = self.highest, time.monotonic() + RETRY_S + slow_s, ""
        while time.monotonic() < deadline:
            try:
                answer = await self._link.send(messages, self._sending, ATTEMPT_S + slow_s)
                self.commits += 1
                return self._checked(int(answer["seq"]), floor, duplicate=bool(answer.get("duplicate")))
            except ApiError as error:
                why = str(error)
                if error.code in _KEY_USED:
                    raise _KeyUsedError from error
                if error.code in _FULL:
                    self.refused = f"JetStream has no room: {why}"
                    raise DiskFullError(f"the log (jetstream) is full: {why}") from error
                if error.code == _DUPLICATE and batch[-1].waiter.key is not None:
                    raise _KeyUsedError from error
                if error.code == _DUPLICATE and (seq := await self._stored_seq(batch[-1], floor)):
                    return seq
            except NoAnswerError as error:
                why = str(error)
            await asyncio.sleep(_PAUSE_S)
        self.refused = f"JetStream does not acknowledge: {why}"
        raise LogUnavailableError(
            f"the log (jetstream) did not acknowledge within {RETRY_S:.0f} s ({why}): the payload may or may not be "
            "stored; send it again, with an idempotency key if it must not be taken twice"
        )

    async def _stored_seq(self, queued: Queued, floor: int) -> int:
        """The seq of a payload that an earlier attempt stored; 0: it cannot be read yet."""
        receipt, after = queued.waiter.payload.receipt, floor
        while records := await self._reader.records(after, 1000, 8 << 20):
            for record in records:
                if record.head.receipt == receipt:
                    self.highest = max(self.highest, record.seq)
                    return record.seq
            after = records[-1].seq
        return 0

    def _checked(self, seq: int, floor: int, *, duplicate: bool) -> int:
        """The seq of an acknowledgement. Raises LogCorruptError when the stream handed out an older seq than it had
        acknowledged before the batch was sent: it has lost its end."""
        if seq <= floor and not duplicate:
            self.lost = LogCorruptError(
                f"the stream of the log went back: seq {floor} was acknowledged, and {seq} was given out after it, so "
                f"entries {seq} to {floor} are lost. Payloads are refused: restore the stream, or open a new log with "
                "another name (TIDEMILL_LOG=nats://…/NAME)"
            )
            raise self.lost
        self.highest, self.refused = max(self.highest, seq), ""
        return seq

    def _appended(self, payload: Payload, seq: int) -> Appended:
        return Appended(self._start + seq, payload.receipt, payload.received_ns)

    def _subject_of_key(self, waiter: Waiter) -> str:
        payload = waiter.payload
        text = f"{payload.tenant}\0{payload.feed}\0{waiter.key}"
        return self._key_subject(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40])

    def _settle(self, batch: list[Queued], outcomes: list[Outcome]) -> None:
        settle_waiters([queued.waiter for queued in batch], outcomes)
        self._release(batch)

    def _fail(self, batch: list[Queued], error: Exception) -> None:
        if not isinstance(error, TidemillError):
            error = LogUnavailableError(f"the log (jetstream) cannot be written: {type(error).__name__}: {error}")
        fail_waiters([queued.waiter for queued in batch], error)
        self._release(batch)

    def _release(self, batch: list[Queued]) -> None:
        with self._lock:
            self._waiting -= len(batch)
            self._waiting_bytes -= sum(queued.size for queued in batch)


class _KeyUsedError(Exception):
    """The idempotency key of a batch was used before."""
