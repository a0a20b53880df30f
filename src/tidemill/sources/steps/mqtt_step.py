"""Reads a source that subscribes to an MQTT broker: the messages of a moment become one payload.

In this order: the session is saved with the payload, the payload is handed in, its messages are acknowledged to the
broker. So no message is lost and none is stored twice, whatever is cut in between.
"""

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Iterable
from typing import Final

import aiomqtt
import msgspec
from aiomqtt.exceptions import MqttConnectError

from tidemill.crash_points import reach
from tidemill.sources.http import Fetched, FetchFailure
from tidemill.sources.mqtt_connection import MqttConnection, MqttMessage
from tidemill.sources.mqtt_session import MqttSession, message_line
from tidemill.sources.mqtt_spec import MqttSpec
from tidemill.sources.resolve import resolve_host
from tidemill.sources.source_run import SourceRun
from tidemill.sources.state import PollError
from tidemill.sources.wire import WireError

log = logging.getLogger(__name__)

_BY: Final = "mqtt"
_NDJSON: Final = "application/x-ndjson"
_MOST_MESSAGES, _MOST_BYTES = 250, 1 << 20  # of a payload; one message alone may be longer
_LONGEST_S: Final = 0.3  # that a message waits for others
_QUIET_S: Final = 0.03  # no message for so long: the moment is over
_IDLE_S: Final = 1.0  # no message for so long: what was delivered is saved as delivered


class MqttStep:
    """The step of a source of kind `mqtt`. It keeps its connection between polls."""

    def __init__(self, run: SourceRun, spec: MqttSpec) -> None:
        self._run, self._spec = run, spec
        self._connection: MqttConnection | None = None
        self._session: MqttSession | None = None
        self._unsaved = False  # the session is further than the saved one, which has the payload delivered last

    async def poll_once(self) -> bool:
        """Take the messages of the next moment, or note that none came. Raises PollError."""
        run = self._run
        session = await self._open_session()
        if session.pending_key and not await self._hand_in(session):
            return False
        connection = await self._connected()
        started_ns, started = run.now_ns(), time.monotonic()
        try:
            await self._wait_for_message(connection)
        except aiomqtt.MqttError as error:
            raise await self._failed(started_ns, started, error) from None
        messages = await self._gather(connection)
        self._note_dropped(connection)
        if messages:
            return await self._take(connection, messages)
        if not run.stopping.is_set() and time.monotonic() - started >= self._spec.quiet_s:
            run.tracker.add_poll(started_ns, Fetched(0, "", b"", 0.0), "empty")
            run.tracker.note_success("empty")
        return not run.stopping.is_set()

    async def close(self) -> None:
        """Disconnect; the broker keeps what comes for the length of the session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
            self._forget(connection.inbox)
        try:
            await self._save_delivered()
        except Exception:
            log.exception(
                "a delivered payload of %s is handed in again, with its key, at the start", self._run.spec.key
            )

    async def _wait_for_message(self, connection: MqttConnection) -> None:
        """Wait for a message for as long as nothing may come. Raises aiomqtt.MqttError."""
        stopping, quiet_s = self._run.stopping, self._spec.quiet_s
        if self._unsaved and quiet_s > _IDLE_S:
            await connection.wait_for_message(stopping, _IDLE_S)
            if connection.inbox or connection.too_long or stopping.is_set():
                return
            quiet_s -= _IDLE_S
            await self._save_delivered()
        await connection.wait_for_message(stopping, quiet_s)
        if not connection.inbox:
            await self._save_delivered()

    async def _open_session(self) -> MqttSession:
        """The session as it was saved, or a new one, which is saved before it is used."""
        run, spec = self._run, self._spec
        if self._session is None:
            token = run.cursor.token if run.cursor.by == _BY else None
            known = MqttSession.decode(token) if token else None
            new_id = f"tidemill-{run.spec.feed[:40]}-{uuid.uuid4().hex[:12]}"
            client_id = spec.client_id or (known.client_id if known and known.client_id else new_id)
            session = msgspec.structs.replace(known or MqttSession(client_id=client_id), client_id=client_id)
            await self._save(session)
        assert self._session is not None
        return self._session

    async def _save(self, session: MqttSession) -> None:
        run = self._run
        cursor = msgspec.structs.replace(run.cursor, by=_BY, token=session.encode())
        await run.save_cursor(cursor, session.client_id)
        self._session, self._unsaved = session, False

    async def _save_delivered(self) -> None:
        """Save that the payload handed in last is delivered, before its key is forgotten: after days without a message
        a restart would store it again."""
        if self._unsaved and self._session is not None:
            await self._save(self._session)

    def _forget(self, messages: Iterable[MqttMessage]) -> None:
        """Forget what was taken under the numbers that these messages have now."""
        if self._session is not None and (session := self._session.without(messages)) is not self._session:
            self._session, self._unsaved = session, True

    async def _connected(self) -> MqttConnection:
        """The connection, made anew if there is none. Raises PollError."""
        if self._connection is not None:
            return self._connection
        run, spec, session = self._run, self._spec, await self._open_session()
        started_ns, started = run.now_ns(), time.monotonic()
        try:
            addresses = await resolve_host(spec.host, spec.port, run.client.policy)
            limits = {"timeout_s": run.limits.timeout_s, "max_bytes": run.limits.max_bytes}
            connection = MqttConnection(spec, session.client_id, addresses[0], **limits)  # type: ignore[arg-type]
            async with asyncio.timeout(run.limits.deadline_s):
                self._connection = await connection.connect()
        except WireError as error:
            failure = FetchFailure(error.reason, error.message, time.monotonic() - started)
            raise run.record_failure(started_ns, failure) from None
        except (aiomqtt.MqttError, TimeoutError, OSError, ValueError) as error:
            raise await self._failed(started_ns, started, error) from None
        if not self._connection.session_present and session.taken:
            await self._save(MqttSession(client_id=session.client_id))  # the broker's numbers begin anew
        return self._connection

    async def _failed(self, started_ns: int, started: float, error: Exception) -> PollError:
        """The error of a connection that is not to be had, or was lost."""
        await self.close()
        spec, said = self._spec, str(error) or type(error).__name__
        refused = isinstance(error, MqttConnectError)
        hint = "look at the user and password in [source] basic" if refused else "look at source.url and at the broker"
        message = f"{spec.host}:{spec.port}: {said}: {hint}"
        failure = FetchFailure("refused", message, time.monotonic() - started)
        return self._run.record_failure(started_ns, failure)

    async def _gather(self, connection: MqttConnection) -> list[MqttMessage]:
        """The new messages of a moment, in order. Messages that were taken before are acknowledged and left out."""
        session, messages, size = await self._open_session(), list[MqttMessage](), 0
        end = time.monotonic() + _LONGEST_S
        while len(messages) < _MOST_MESSAGES and size < _MOST_BYTES:
            if not connection.inbox:
                left_s = min(_QUIET_S, end - time.monotonic())
                if left_s <= 0 or not messages or self._run.stopping.is_set():
                    break
                await asyncio.sleep(left_s)
                if not connection.inbox:
                    break
                continue
            message = connection.inbox.popleft()
            if session.knows(message) or (message.retained and self._spec.skip_retained):
                connection.acknowledge(message)
                continue
            messages.append(message)
            size += len(message.payload)
        self._forget(messages)
        return messages

    def _note_dropped(self, connection: MqttConnection) -> None:
        """A row of the ledger for messages that were not taken: for these there was no room, or they are too long."""
        lost, too_long = connection.lost, connection.too_long
        connection.lost = connection.too_long = 0
        if lost:
            detail = f"{lost} messages of QoS 0 came faster than the log took them; subscribe with qos = 1"
            self._run.tracker.add_poll(self._run.now_ns(), Fetched(0, "", b"", 0.0), "truncated", detail=detail)
        if too_long:
            most = self._run.limits.max_bytes
            detail = f"{too_long} messages of more than {most} bytes were dropped; raise source.max_bytes"
            self._run.tracker.add_poll(self._run.now_ns(), Fetched(0, "", b"", 0.0), "too_large", detail=detail)

    async def _take(self, connection: MqttConnection, messages: list[MqttMessage]) -> bool:
        """Make a payload of messages durable, then acknowledge them."""
        session = await self._open_session()
        body = b"".join(message_line(self._spec, message) for message in messages)
        number = self._run.cursor.number + 1
        key = f"{session.client_id}-{number}-{hashlib.sha256(body).hexdigest()[:32]}"
        reach("mqtt.before_save")
        self._run.cursor = msgspec.structs.replace(self._run.cursor, number=number)
        await self._save(session.with_pending(key, body, messages))
        reach("mqtt.after_save")
        assert self._session is not None
        try:
            if not await self._hand_in(self._session):
                return False
        except PollError:
            if not self._session.pending_key:  # the ledger has it: to the broker it is taken
                self._acknowledge(connection, messages)
            raise
        self._acknowledge(connection, messages)
        return True

    def _acknowledge(self, connection: MqttConnection, messages: list[MqttMessage]) -> None:
        reach("mqtt.before_acknowledge")
        for message in messages:
            connection.acknowledge(message)
        reach("mqtt.after_acknowledge")

    async def _hand_in(self, session: MqttSession) -> bool:
        """Hand in the pending payload; whether it is durable, and no longer pending. Raises PollError; the payload
        stays pending if intake refused it and kept nothing of it."""
        run, body = self._run, session.pending.encode()
        answer = await run.record_answer(run.now_ns(), Fetched(0, _NDJSON, body, 0.0))
        done = msgspec.structs.replace(session, pending_key="", pending="")
        try:
            if not await run.deliver(answer, session.pending_key):
                return False
        except PollError as error:
            if error.reason == "payload_refused" and not error.receipt:
                await self.close()  # the broker sends its messages again, and they are acknowledged then
            else:
                self._session, self._unsaved = done, True
            raise
        reach("mqtt.delivered")
        self._session, self._unsaved = done, True  # saved with the next payload, or when none comes
        run.tracker.note_success("ok")
        return True
