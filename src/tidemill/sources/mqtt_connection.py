"""A connection to an MQTT broker whose messages are acknowledged by hand.

aiomqtt acknowledges a message when it hands it on, and leaves out whether a message was sent before (DUP). This class
adds both through the client of paho-mqtt inside; that is no public part, so the versions of both are pinned.
"""

import asyncio
from collections import deque
from typing import Any, Final, Self

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tidemill.sources.mqtt_spec import MqttSpec, tls_context

SENT_AHEAD: Final = 500  # messages that a broker sends before one is acknowledged
_MOST_UNASKED: Final = 10_000  # messages of QoS 0 that wait here: the broker does not wait for us
_KEEPALIVE_S: Final = 30
_GOODBYE_S: Final = 1.0
_RETAIN_IF_NEW, _RETAIN_NEVER = 1, 2
_REFUSED: Final = 128  # reason codes of a subscription from here on are failures


class MqttMessage(msgspec.Struct, frozen=True):
    """A message. `mid` is its number among those that are not acknowledged; `again`: the broker has sent it before."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    mid: int
    again: bool


class MqttConnection(aiomqtt.Client):
    """A connected client from `connect` to `close`. `session_present`: the broker knows what it had sent before.
    `inbox` holds messages in the order in which they came; `lost` counts those of QoS 0 for which there was no room,
    `too_long` those of more than `max_bytes`, which are acknowledged and dropped."""

    def __init__(self, spec: MqttSpec, client_id: str, address: str, *, timeout_s: float, max_bytes: int) -> None:
        """Makes no connection. Raises ValueError for certificates that cannot be used."""
        more: dict[str, Any] = {"clean_session": False}
        if spec.is_version_5:
            connect: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho says no types here
            connect.SessionExpiryInterval = spec.session_s
            connect.ReceiveMaximum = SENT_AHEAD
            connect.MaximumPacketSize = max_bytes
            more = {"clean_start": False, "properties": connect}
        super().__init__(
            address,
            spec.port,
            identifier=client_id,
            username=spec.user,
            password=spec.password,
            protocol=aiomqtt.ProtocolVersion.V5 if spec.is_version_5 else aiomqtt.ProtocolVersion.V311,
            timeout=timeout_s,
            keepalive=_KEEPALIVE_S,
            tls_context=tls_context(spec),
            **more,
        )
        self._spec = spec
        self._client.manual_ack_set(True)
        self._client.connect_timeout = timeout_s
        self.session_present = False
        self.inbox: deque[MqttMessage] = deque()
        self.lost = self.too_long = 0
        self._max_bytes = max_bytes
        self._arrived = asyncio.Event()

    async def connect(self) -> Self:
        """Connect and subscribe. Raises aiomqtt.MqttError."""
        try:
            await self.__aenter__()
            for template in self._spec.templates:
                await self._subscribe(template.filter)
        except BaseException:
            self._abandon()
            raise
        return self

    async def _subscribe(self, topic: str) -> None:
        spec = self._spec
        if spec.is_version_5:
            handling = _RETAIN_NEVER if spec.skip_retained else _RETAIN_IF_NEW
            codes = await self.subscribe(topic, options=SubscribeOptions(spec.qos, retainHandling=handling))
        else:
            codes = await self.subscribe(topic, spec.qos)
        refused = [code for code in codes if getattr(code, "value", code) >= _REFUSED]
        if refused:
            raise aiomqtt.MqttError(f"the broker refuses the subscription to '{topic}': {refused[0]}")

    async def wait_for_message(self, stopping: asyncio.Event, timeout_s: float) -> None:
        """Wait until a message is in the inbox or was dropped, `stopping` is set, or the time is over. Raises
        aiomqtt.MqttError once the connection is lost and the inbox is empty."""
        if self.inbox:
            return
        self._arrived.clear()
        waits = [asyncio.create_task(self._arrived.wait()), asyncio.create_task(stopping.wait())]
        ends: list[asyncio.Future[Any]] = [*waits, self._disconnected]
        try:
            await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._disconnected.done() and not self.inbox:
            raise aiomqtt.MqttError(str(self._disconnected.exception() or "the broker ended the connection"))

    def acknowledge(self, message: MqttMessage) -> None:
        """Tell the broker that a message is taken. Of a lost connection nothing is told: the broker sends it again."""
        if message.qos:
            self._client.ack(message.mid, message.qos)

    async def close(self) -> None:
        """End the connection, within a second; never raises."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self.__aexit__(None, None, None)
        except (aiomqtt.MqttError, TimeoutError):
            return
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Close what is left of a connection: aiomqtt leaves the socket of an attempt that took too long."""
        if self._misc_task is not None:
            self._misc_task.cancel()
        sock: Any = self._client.socket()
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
            sock.close()

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        self.session_present = bool(flags.session_present)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if message.qos == 0 and len(self.inbox) >= _MOST_UNASKED:
            self.lost += 1
            return
        if len(message.payload) > self._max_bytes:
            if message.qos:
                self._client.ack(message.mid, message.qos)
            self.too_long += 1
            self._arrived.set()
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(no UTF-8)"
        parts = (bytes(message.payload), message.qos, bool(message.retain), message.mid, bool(message.dup))
        self.inbox.append(MqttMessage(topic, *parts))
        self._arrived.set()
