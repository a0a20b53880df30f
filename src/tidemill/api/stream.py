"""The route `GET /v1/stream`: one stream of server-sent events for a whole page: what was applied, what changed, polls
of sources, and the state of the server.

A stream sends at most about ten events a second: what happens faster comes as sums, which say how many. A client that
reads slowly gets fewer and larger sums. Each stream reads at its own pace; nothing is queued for it here.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.response import Stream

from tidemill.api.changes import KEEP_ALIVE_S, RETRY_MS, check_feed
from tidemill.api.followers import Follower, Followers
from tidemill.api.health import Health
from tidemill.api.reads_common import AnyRequest, answers_with, operation_of, parse_query
from tidemill.api.services import Services
from tidemill.api.sources import SourceItem, source_item
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, InputError, StoreQueryError, UnavailableError
from tidemill.query.stream import ChangesEvent, ReceiptEvent, StreamQuery, StreamReach
from tidemill.sources.state import SourceState
from tidemill.sources.state_store import read_states

LOOK_S: Final = 1.0  # between looks at polls and health
PACE_S: Final = 0.25  # at least, between two batches of events
EVENT_S: Final = 0.1  # and for each event that was sent
HEALTH_S: Final = 5.0  # how often numbers that changed are sent; a part that fails or recovers is sent at once
_NOT_WORKING: Final = ("silent", "unknown", "waiting_for_store", "waiting_for_log", "waiting_for_catalog", "stopped")
MAX_POLLS: Final = 5  # at once; more are sent with the next batch
_log = logging.getLogger(__name__)


class HealthEvent(msgspec.Struct, frozen=True):
    """The state of the server. `ready`: payloads are acknowledged; `degraded`: what does not work as it should, one
    sentence each; `mill`: what it does (`silent`: there is no sign of it); `lag`: entries of the log that are not
    applied (null except for administrators). `GET /v1/status` says more."""

    ready: bool
    degraded: list[str]
    mill: str
    lag: int | None
    store: Literal["up", "down"]


StreamEvent = ReceiptEvent | ChangesEvent | SourceItem | HealthEvent


@get(
    "/v1/stream",
    tags=["ledger"],
    summary="What happens, as it happens",
    operation_id="followAll",
    operation_class=operation_of(StreamQuery),
    responses=answers_with(
        StreamEvent,
        "Events `receipt`, `change`, `poll` and `health`, with an `id` after each batch.",
        400,
        404,
        media_type="text/event-stream",
    ),
    opt={"scope": "read"},
)
async def follow_all(
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
    followers: NamedDependency[Followers],
    health: NamedDependency[Health],
) -> Stream:
    """Server-sent events of the `topics`: `receipt` (payloads were applied), `change` (published values changed),
    `poll` (a source was polled: an item of `/v1/sources`), `health` (at first, when a part fails or recovers, and
    every 5 s where something changed). At most about ten a second: what happens faster is summed up, with
    its number. Starts now, or after the header `Last-Event-ID`: what happened in between comes as sums. After a lost
    connection an event may come twice, and none is left out. A comment is sent after every 15 s without an event. The
    stream ends when its key is revoked."""
    query = parse_query(request, StreamQuery)
    await asyncio.to_thread(check_feed, services, principal.tenant, query.feed)
    reached = _start(request, services, followers, principal.tenant)
    follower = followers.add_follower(principal.tenant)
    admin = "admin" in principal.scopes
    tail = Tail(services, followers, follower, health=health, query=query, reached=reached, admin=admin)
    answer_headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(tail.events(), media_type="text/event-stream", headers=answer_headers)


def _start(request: AnyRequest, services: Services, followers: Followers, tenant: str) -> StreamReach:
    """What `Last-Event-ID` says was reached, else now. Raises InputError."""
    text = request.headers.get("last-event-id", "")
    if not text:
        return StreamReach(followers.start_keys(tenant), services.clock())
    try:
        return services.queries.stream.open_reach(tenant, text, len(services.log.partitions))
    except ValueError as error:
        message = f"Last-Event-ID {error}"
        raise InputError(message, (Fault("$header.Last-Event-ID", "invalid", message),)) from None


class Tail:
    """One stream: reads what is new of its topics, and sends it at its pace."""

    def __init__(
        self,
        services: Services,
        followers: Followers,
        follower: Follower,
        *,
        health: Health,
        query: StreamQuery,
        reached: StreamReach,
        admin: bool,
    ) -> None:
        self._services, self._followers, self._follower = services, followers, follower
        self._health, self._query, self._reached, self._admin = health, query, reached, admin
        self._shown: HealthEvent | None = None
        self._shown_at = 0.0

    async def events(self) -> AsyncIterator[bytes]:
        """The stream, until the client or the server ends it; `front.py` ends it for a reader without access."""
        tenant, looked = self._follower.tenant, 0.0
        sent_at = time.monotonic()
        try:
            yield f"retry: {RETRY_MS}\nid: {self._id()}\n\n".encode()
            while not self._followers.ended:
                batch: list[bytes] = []
                if time.monotonic() - looked >= LOOK_S:
                    looked = time.monotonic()
                    batch += await self._health_events()
                    batch += await self._poll_events(tenant)
                batch += await self._applied_events(tenant)
                if batch:
                    sent_at = time.monotonic()
                    yield b"".join([*batch[:-1], b"id: " + self._id().encode() + b"\n" + batch[-1]])
                    await asyncio.sleep(max(PACE_S, EVENT_S * len(batch)))
                elif time.monotonic() - sent_at >= KEEP_ALIVE_S:
                    sent_at = time.monotonic()
                    yield b": keep-alive\n\n"
                await self._wait(max(0.0, looked + LOOK_S - time.monotonic()))
        finally:
            self._followers.remove_follower(self._follower)

    def _id(self) -> str:
        return self._services.queries.stream.seal_reach(self._follower.tenant, self._reached)

    async def _wait(self, seconds: float) -> None:
        """Wait until there may be something new of the log, at most so long."""
        if self._wants("receipts") or self._wants("changes"):
            await self._followers.wait_for_growth(self._follower, self._reached.keys, seconds)
        else:
            await asyncio.sleep(seconds)

    def _wants(self, topic: str) -> bool:
        return topic in self._query.topics

    async def _applied_events(self, tenant: str) -> Sequence[bytes]:
        """What was applied and what changed since the last batch; nothing while the store does not answer."""
        after, until = self._reached.keys, self._followers.known_keys(tenant)
        if until is None or all(key <= before for key, before in zip(until, after, strict=True)):
            return []
        until = tuple(max(pair) for pair in zip(after, until, strict=True))
        queries, feed = self._services.queries.stream, self._query.feed
        batch: list[bytes] = []
        try:
            if self._wants("receipts"):
                receipts = await self._followers.ask_store(partial(queries.receipts, tenant, feed, after, until))
                batch += [_event("receipt", item) for item in receipts]
            if self._wants("changes"):
                changed = await self._followers.ask_store(partial(queries.changes, tenant, feed, after, until))
                batch += [_event("change", changed)] if changed else []
        except (UnavailableError, StoreQueryError) as error:
            _log.info("a stream waits for the store: %s", error)
            await asyncio.sleep(LOOK_S)
            return []
        self._reached = msgspec.structs.replace(self._reached, keys=until)
        return batch

    async def _poll_events(self, tenant: str) -> Sequence[bytes]:
        """The sources that were polled since the last look, the one that was polled first first."""
        if not self._wants("polls"):
            return []
        states = await asyncio.to_thread(read_states, self._services.catalog, tenant)
        removed = self._services.book.removed(tenant)
        polled = [state for state in states if state.feed not in removed and self._query.feed in (None, state.feed)]
        fresh = sorted((state for state in polled if _polled_ns(state) > self._reached.polled_ns), key=_polled_ns)
        if not fresh:
            return []
        self._reached = msgspec.structs.replace(self._reached, polled_ns=_polled_ns(fresh[:MAX_POLLS][-1]))
        return [_event("poll", source_item(state)) for state in fresh[:MAX_POLLS]]

    async def _health_events(self) -> Sequence[bytes]:
        """The state of the server: when a part fails or recovers, and every HEALTH_S where a number changed."""
        if not self._wants("health"):
            return []
        state, before, now = await self._health.recent_state(), self._shown, time.monotonic()
        degraded = state.shown(details=self._admin).degraded
        up: Literal["up", "down"] = "up" if state.store.up else "down"
        lag = state.mill.lag if self._admin else None
        shown = HealthEvent(state.log.accepting, degraded, state.mill.state, lag, up)
        due = before is None or _outline(shown) != _outline(before)
        if not due and (shown == before or now - self._shown_at < HEALTH_S):
            return []
        self._shown, self._shown_at = shown, now
        return [_event("health", shown)]


def _polled_ns(state: SourceState) -> int:
    return state.last_poll_ns or 0


def _outline(event: HealthEvent) -> tuple[Any, ...]:
    """What of the state does not change all the time."""
    return event.ready, len(event.degraded), event.store, event.mill in _NOT_WORKING


def _event(name: str, item: StreamEvent) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(item) + b"\n\n"


STREAM_ROUTES: Final = [follow_all]
