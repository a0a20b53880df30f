"""The catalog of a cluster: a KV bucket of JetStream, on three nodes, that every process of the cluster opens.

Every read asks the leader of the stream (`allow_direct` is off), so a value is never older than the last write. A
revision is the stream's sequence. A deletion leaves a marker, which goes after an hour. One thread polls five times a
second for writes of anybody. Keeps the promises of `contract.py`.
"""

import asyncio
import base64
import itertools
import logging
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from tidemill.catalog.contract import CatalogEntry
from tidemill.errors import ConflictError, LogUnavailableError, UnavailableError
from tidemill.log.jetstream.link import CALL_S, ApiError, JetStreamLink, NoAnswerError
from tidemill.log.jetstream.names import LogAddress
from tidemill.log.jetstream.records import Message

T = TypeVar("T")
_log = logging.getLogger(__name__)
POLL_S: Final = 0.2
MARKER_TTL: Final = "1h"  # watchers poll for markers, and see each long before it goes
ERASED_AFTER_S: Final = 300.0  # by then no node's RAFT log holds the bytes: measured 120 to 182 s when idle
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_NO_MESSAGE: Final = 10037
_NO_STREAM: Final = 10059
_CONFLICTS: Final = frozenset({10071, 10164})
_AT_ONCE: Final = 64  # reads of a list under way


class _Newest(msgspec.Struct, frozen=True):
    """The newest message of a subject: a value, or the marker of a deletion."""

    entry: CatalogEntry
    removed: bool
    message_id: str


class JetStreamCatalog:
    """The catalog of the installation that `address` names, with `replicas` copies; it is made if it does not exist.
    Thread-safe.

    `erased_after_s`: how long after the last removal `erase_removed` says that no node has the bytes.
    Every method raises UnavailableError when no leader answers within about 12 s; a write may then have been made.
    """

    def __init__(self, address: LogAddress, *, replicas: int = 3, erased_after_s: float = ERASED_AFTER_S) -> None:
        self._bucket = f"{address.name}_CATALOG"
        self._stream = f"KV_{self._bucket}"
        self._link = JetStreamLink(address.servers)
        self._erased_after_s = erased_after_s
        self._removed_at = time.monotonic()
        self._lock = threading.Lock()
        self._watches: dict[int, tuple[str, Callable[[], None], int]] = {}
        self._numbers = itertools.count()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._call(lambda: self._make(replicas))

    def get(self, key: str) -> CatalogEntry | None:
        """See `Catalog.get`."""
        stored = self._call(lambda: self._newest(self._subject(key)))
        return None if stored is None or stored.removed else stored.entry

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """See `Catalog.put`."""
        return self._call(lambda: self._write(key, value, {}, expect)) or 0

    def delete(self, key: str, *, expect: int | None = None) -> bool:
        """See `Catalog.delete`."""
        headers = {"KV-Operation": "DEL", "Nats-TTL": MARKER_TTL}
        return self._call(lambda: self._write(key, b"", headers, expect)) is not None

    def list(self, prefix: str) -> list[CatalogEntry]:
        """See `Catalog.list`; keys are in the order of code points."""
        entries = self._call(lambda: self._list(prefix))
        return sorted(entries, key=lambda entry: entry.key)

    def watch(self, prefix: str, changed: Callable[[], None]) -> Callable[[], None]:
        """See `Catalog.watch`."""
        seen, number = self._call(self._last), next(self._numbers)
        with self._lock:
            self._watches[number] = (prefix, changed, seen)
            if self._thread is None:
                self._thread = threading.Thread(target=self._poll, name="tidemill-catalog-watch", daemon=True)
                self._thread.start()

        def end() -> None:
            with self._lock:
                self._watches.pop(number, None)

        return end

    def erase_removed(self) -> bool:
        """See `Catalog.erase_removed`: overwrites what a write left behind; false until the nodes' RAFT logs, which
        hold the bytes as well, have been replaced."""
        self._call(self._erase_older)
        return time.monotonic() - self._removed_at >= self._erased_after_s

    def structure_faults(self) -> tuple[str, ...]:
        """See `Catalog.structure_faults`: the servers check their files by themselves, so () or UnavailableError."""
        self._call(self._last)
        return ()

    def close(self) -> None:
        """See `Catalog.close`."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        self._link.release(self)

    def _call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return self._link.call(self, work)
        except LogUnavailableError as error:
            raise UnavailableError(f"the catalog {self._bucket} (jetstream) cannot be used: {error}") from error

    async def _make(self, replicas: int) -> None:
        try:
            await self._link.api(f"STREAM.INFO.{self._stream}")
        except ApiError as error:
            if error.code != _NO_STREAM:
                raise
            await self._link.api(f"STREAM.CREATE.{self._stream}", self._config(replicas))

    def _config(self, replicas: int) -> dict[str, Any]:
        return {
            "name": self._stream,
            "subjects": [f"$KV.{self._bucket}.>"],
            "num_replicas": replicas,
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "max_msgs_per_subject": 2,  # the older one is overwritten, not dropped, once the newer one is stored
            "duplicate_window": 120_000_000_000,
            "allow_direct": False,
            "allow_msg_ttl": True,
            "allow_rollup_hdrs": True,
        }

    def _subject(self, key: str) -> str:
        return f"$KV.{self._bucket}.{_encode(key)}"

    def _filter(self, prefix: str) -> str:
        parent, slash, _ = prefix.rpartition("/")
        return f"{self._subject(parent)}.>" if slash else f"$KV.{self._bucket}.>"

    async def _message(self, request: dict[str, Any]) -> _Newest | None:
        try:
            answer = await self._link.api(f"STREAM.MSG.GET.{self._stream}", request)
        except ApiError as error:
            if error.code == _NO_MESSAGE:
                return None
            raise
        message = answer["message"]
        headers = base64.b64decode(message.get("hdrs", "")).decode("utf-8", "replace")
        found_id = re.search(r"^Nats-Msg-Id: ?(\S+)", headers, re.MULTILINE)
        key = _decode(message["subject"].removeprefix(f"$KV.{self._bucket}."))
        entry = CatalogEntry(key, base64.b64decode(message.get("data", "")), message["seq"])
        return _Newest(entry, "KV-Operation:" in headers, found_id[1] if found_id else "")

    async def _newest(self, subject: str) -> _Newest | None:
        return await self._message({"last_by_subj": subject})

    async def _last(self) -> int:
        return int((await self._link.api(f"STREAM.INFO.{self._stream}"))["state"]["last_seq"])

    async def _write(self, key: str, value: bytes, headers: dict[str, str], expect: int | None) -> int | None:
        """The revision that was written; None: the key to delete was absent."""
        subject = self._subject(key)
        while True:
            stored = await self._newest(subject)
            revision = 0 if stored is None or stored.removed else stored.entry.revision
            if expect is not None and expect != revision:
                raise ConflictError(f"catalog key {key} is at revision {revision}, not {expect}; read it again")
            if headers and not revision:
                return None
            last = 0 if stored is None else stored.entry.revision
            written = await self._store(subject, value, headers, last)
            if written is not None:
                if last:
                    await self._remove(last)
                return written

    async def _store(self, subject: str, value: bytes, headers: dict[str, str], last: int) -> int | None:
        """Store one message if `last` is still the subject's newest; None: it is not. Repeats what was not answered."""
        message_id, deadline, uncertain = secrets.token_hex(12), time.monotonic() + CALL_S, False
        sent = headers | {"Nats-Msg-Id": message_id, "Nats-Expected-Last-Subject-Sequence": str(last)}
        while True:
            try:
                answer = await self._link.send([Message(subject, value, sent)], asyncio.Lock(), 2.0)
                return int(answer["seq"])
            except NoAnswerError:
                uncertain = True
                if time.monotonic() >= deadline:
                    raise
            except ApiError as error:
                if error.code not in _CONFLICTS:
                    raise
                stored = await self._newest(subject) if uncertain else None
                return stored.entry.revision if stored is not None and stored.message_id == message_id else None
            await asyncio.sleep(0.05)

    async def _remove(self, revision: int) -> None:
        """Overwrite the bytes of a message; one that is no longer there is no error."""
        self._removed_at = time.monotonic()
        try:
            await self._link.api(f"STREAM.MSG.DELETE.{self._stream}", {"seq": revision})
        except (ApiError, NoAnswerError) as error:
            _log.debug("revision %d of the catalog is erased later: %s", revision, error)

    async def _subjects(self, pattern: str) -> dict[str, int]:
        subjects: dict[str, int] = {}
        while True:
            request = {"subjects_filter": pattern, "offset": len(subjects)}
            answer = await self._link.api(f"STREAM.INFO.{self._stream}", request)
            page = answer["state"].get("subjects") or {}
            subjects |= page
            if not page or len(subjects) >= answer.get("total", 0):
                return subjects

    async def _list(self, prefix: str) -> Sequence[CatalogEntry]:
        subjects = [
            subject
            for subject in await self._subjects(self._filter(prefix))
            if _decode(subject.removeprefix(f"$KV.{self._bucket}.")).startswith(prefix)
        ]
        entries = deque[CatalogEntry]()
        for start in range(0, len(subjects), _AT_ONCE):
            part = subjects[start : start + _AT_ONCE]
            stored = await asyncio.gather(*(self._newest(subject) for subject in part))
            entries += [one.entry for one in stored if one is not None and not one.removed]
        return entries

    async def _erase_older(self) -> None:
        for subject, count in (await self._subjects(f"$KV.{self._bucket}.>")).items():
            if count < 2:
                continue
            older, newest = await self._message({"seq": 1, "next_by_subj": subject}), await self._newest(subject)
            if older is not None and newest is not None and older.entry.revision < newest.entry.revision:
                await self._remove(older.entry.revision)

    def _poll(self) -> None:
        while not self._ended.wait(POLL_S):
            try:
                self._notify(self._call(self._last))
            except UnavailableError as error:
                _log.debug("the catalog is watched again soon: %s", error)

    def _notify(self, last: int) -> None:
        with self._lock:
            behind = [(number, *watch) for number, watch in self._watches.items() if watch[2] < last]
        for number, prefix, changed, seen in behind:
            has_changed = self._call(partial(self._changed, prefix, seen))
            with self._lock:
                has_ended = number not in self._watches  # while the servers were asked
            if has_changed and not has_ended:
                try:
                    changed()
                except Exception:
                    _log.exception("a watcher of %s failed; it is called again", prefix)
                    continue
            with self._lock:
                if number in self._watches:
                    self._watches[number] = (prefix, changed, last)

    async def _changed(self, prefix: str, seen: int) -> bool:
        while (stored := await self._message({"seq": seen + 1, "next_by_subj": self._filter(prefix)})) is not None:
            if stored.entry.key.startswith(prefix):
                return True
            seen = stored.entry.revision
        return False


def _encode(key: str) -> str:
    return ".".join(
        token if _PLAIN.fullmatch(token) else "=" + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
        for token in key.split("/")
    )


def _decode(subject: str) -> str:
    return "/".join(
        base64.urlsafe_b64decode(token[1:] + "=" * (-len(token[1:]) % 4)).decode() if token[:1] == "=" else token
        for token in subject.split(".")
    )
