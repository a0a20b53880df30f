"""Polls one source for as long as it is told to: a step, then a wait until the next one is due.

How a source is read is a step of `steps/`; this is what surrounds it. Every failure becomes the source's state and a
longer wait; none ends the task. Enough of them in a row open the circuit: the source is left alone for a while, then
one poll tries it. The cursor moves only after what it stands for was taken.
"""

import asyncio
import logging
import random
import traceback
from collections.abc import Callable
from typing import Final

import msgspec

from tidemill.decode.decoder import MAX_DEPTH
from tidemill.model.time import NS_PER_S
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.hosts import SourceHosts
from tidemill.sources.http import HttpClient
from tidemill.sources.outbox import Submit
from tidemill.sources.pacing import Pacing
from tidemill.sources.pull import Pull
from tidemill.sources.redact import Redaction
from tidemill.sources.run import SourceRun, TroubleError
from tidemill.sources.schedule import Cron
from tidemill.sources.state import SourceState
from tidemill.sources.state_store import SourceStateStore
from tidemill.sources.steps import step_of

log = logging.getLogger(__name__)

_LOOK_S: Final = 60.0  # a wait for a time of day looks at the clock so often: it may have been set


class SourceTask:
    """One source being polled. `run` is the task; `stop` asks it to end. `policy` is the server's: the source reaches
    what that and its own `allow` both permit."""

    def __init__(
        self,
        pull: Pull,
        policy: AddressPolicy,
        submit: Submit,
        desk: SourceStateStore,
        *,
        pacing: Pacing,
        now_ns: Callable[[], int],
        rng: random.Random,
        hosts: SourceHosts | None = None,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        self.pull = pull
        self.policy = policy
        self._client = HttpClient(policy.within(pull.allow))
        self._host = (hosts or SourceHosts()).of(pull.tenant, pull.origin)
        self._work = SourceRun(
            pull,
            self._client,
            submit,
            desk,
            pacing=pacing,
            now_ns=now_ns,
            rng=rng,
            host=self._host,
            max_depth=max_depth,
        )
        self._step = step_of(self._work)
        self.tracker = self._work.tracker
        self._desk = desk
        self._pacing = pacing
        self._now_ns = now_ns
        self._rng = rng
        self._backoff = msgspec.structs.replace(pull.breaker.backoff, first_s=pacing.first_backoff_s)
        self._stopping = self._work.stopping
        self._task: asyncio.Task[None] | None = None
        self._finishing = False

    def stop(self) -> None:
        """End after the fetch that is under way; `cut` cuts that short as well."""
        self._stopping.set()
        self._work.outbox.release()

    def cut(self) -> None:
        """End the fetch that is under way. What was fetched before is still delivered or kept."""
        if self._task is not None and not self._finishing:
            self._task.cancel()

    def take_state(self) -> SourceState | None:
        """The state if it changed since the last call."""
        self.tracker.note(waiting=len(self._work.outbox))
        return self.tracker.take_state()

    async def run(self) -> None:
        """Poll until stopped; then deliver or keep what is left."""
        self._task = asyncio.current_task()
        self._host.declare(self.pull.key, self.pull.interval_s)
        try:
            await self._resume()
            await self._first_wait()
            while not self._stopping.is_set():
                held_ns = self._host.held_ns(self.pull.feed)  # what it said to another item holds as well
                if held_ns > self._now_ns():
                    await self._pause_until(held_ns)
                else:
                    await self._turn()
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        finally:
            self._finishing = True
            self._host.declare(self.pull.key, None)
            self._client.close()
            await self._work.outbox.close(self._pacing.submit_grace_s)
            await self._step.close()
            self.tracker.due(None)

    async def _resume(self) -> None:
        """Load what an earlier run left; deliver what it could not, before anything newer."""
        while not self._stopping.is_set():
            try:
                self._work.cursor = await self._desk.cursor(self.pull.key) or self._work.cursor
                earlier = await self._desk.state(self.pull.key)
                unsent = await self._desk.unsent(self.pull.key)
                if self._work.tokens is not None:
                    self._work.tokens.resume(await self._desk.token(self.pull.key))
                break
            except Exception as error:
                await self._pause(self._after(TroubleError("internal", f"the catalog cannot be read: {error}")))
        else:
            return
        if earlier is not None:
            self.tracker.resume(earlier)
        for one in unsent:
            self._work.outbox.put(one, self._work.delivered(len(one.body)), kept=True)
        await self._work.wait_for_intake(self._work.outbox.wait_empty)

    async def _first_wait(self) -> None:
        """A source with times of day waits for the next of them, unless one was missed since the last poll."""
        schedule, last = self.pull.schedule, self.tracker.state.last_poll_ns
        if isinstance(schedule, Cron) and not (last and schedule.due_ns(last) <= self._now_ns()):
            await self._pause_until(schedule.due_ns(self._now_ns()))

    async def _turn(self) -> None:
        """One step, and the wait after it. A bug in it is a failure of this source, not of the poller."""
        self.tracker.begin()
        try:
            if not self._work.outbox.ready:
                await self._work.wait_for_intake(self._work.outbox.wait_ready)
                if self._stopping.is_set():
                    return
            more = await self._step.step()
        except TroubleError as trouble:
            await self._pause(self._after(trouble))
        except Exception as error:
            tokens = () if self._work.tokens is None else self._work.tokens.secrets
            hide = Redaction((*self.pull.secrets, *tokens)).hide
            log.error("polling %s failed: %s", self.pull.key, hide("".join(traceback.format_exception(error))))
            await self._pause(self._after(TroubleError("internal", f"{type(error).__name__}: {error}")))
        else:
            await self._wait(more)

    async def _wait(self, more: bool) -> None:
        """Until the next poll of a source that answered."""
        schedule = self.pull.schedule
        if more:
            await self._pause(0.0)
        elif isinstance(schedule, Cron):
            await self._pause_until(schedule.due_ns(self._now_ns()))
        else:
            await self._pause(schedule.seconds)

    def _after(self, trouble: TroubleError) -> float:
        """Note a failure; seconds to wait after it."""
        failures = self.tracker.failed(trouble.reason, trouble.detail)
        if trouble.at_least_s and self.pull.origin:
            until_ns = self._now_ns() + int(trouble.at_least_s * NS_PER_S)
            self.tracker.held(self.pull.origin, until_ns)
            self._host.hold(self.pull.feed, until_ns)
        if self.tracker.state.state == "open":
            return max(self.pull.breaker.rest_s, trouble.at_least_s)
        return self._backoff.delay_s(failures, self._rng, trouble.at_least_s)

    async def _pause(self, seconds: float) -> None:
        """Wait, or less if stopped."""
        self.tracker.due(self._now_ns() + int(seconds * NS_PER_S))
        await self._sleep(seconds)

    async def _pause_until(self, due_ns: int) -> None:
        """Wait for an instant by the clock, or less if stopped."""
        self.tracker.due(due_ns)
        while not self._stopping.is_set() and (left_ns := due_ns - self._now_ns()) > 0:
            await self._sleep(min(left_ns / NS_PER_S, _LOOK_S))

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
