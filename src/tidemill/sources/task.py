"""Polls one source until it is stopped: a step, then a wait until the next poll is due.

A step of `steps/` reads the source; the task schedules the steps. A failure becomes the source's state and a longer
wait; no failure ends the task. Enough failures in a row open the circuit: the source is not polled for a while, then
one poll tries it. The cursor moves only after intake took the payloads that it covers.
"""

import asyncio
import logging
import traceback
from typing import Final

import msgspec

from tidemill.model.time import NS_PER_S
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.redact import Redaction
from tidemill.sources.schedule import Cron
from tidemill.sources.source_run import SourceRun
from tidemill.sources.state import PollError, SourceState
from tidemill.sources.steps import make_step

log = logging.getLogger(__name__)

_CLOCK_CHECK_S: Final = 60.0  # a wait for a time of day reads the clock so often, because it may have been set


class SourceTask:
    """Polls the source of a run. `poll_until_stopped` is the body of the task; `stop` makes it end. `policy` is the
    server's policy under which the run's client was made."""

    def __init__(self, run: SourceRun, policy: AddressPolicy) -> None:
        self.spec = run.spec
        self.policy = policy
        self._run = run
        self._step = make_step(run)
        self.tracker = run.tracker
        self._now_ns = run.now_ns
        self._backoff = msgspec.structs.replace(run.spec.breaker.backoff, first_s=run.pacing.first_backoff_s)
        self._stopping = run.stopping
        self._task: asyncio.Task[None] | None = None
        self._finishing = False

    def stop(self) -> None:
        """End after the fetch that is under way; see `cancel_fetch`."""
        self._stopping.set()
        self._run.outbox.release()

    def cancel_fetch(self) -> None:
        """Cancel the fetch that is under way. Payloads fetched before are still delivered or saved."""
        if self._task is not None and not self._finishing:
            self._task.cancel()

    def take_changed_state(self) -> SourceState | None:
        """The state if it changed since the last call."""
        self.tracker.update(waiting=len(self._run.outbox))
        return self.tracker.take_changed_state()

    async def poll_until_stopped(self) -> None:
        """Poll until stopped; then deliver the payloads in the outbox, or save them."""
        self._task = asyncio.current_task()
        self._run.host.set_interval(self.spec.key, self.spec.interval_s)
        try:
            await self._resume()
            await self._first_wait()
            while not self._stopping.is_set():
                held_ns = self._run.host.held_until_ns(self.spec.feed)  # by a `Retry-After` to any item
                if held_ns > self._now_ns():
                    await self._pause_until(held_ns)
                else:
                    await self._take_turn()
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        finally:
            self._finishing = True
            self._run.host.set_interval(self.spec.key, None)
            self._run.client.close()
            await self._run.outbox.close(self._run.pacing.submit_grace_s)
            await self._step.close()
            self.tracker.end_poll(None)

    async def _resume(self) -> None:
        """Load the state of an earlier run, and deliver its unsent payloads before any newer payload. Tries again, with
        back-off, while the catalog cannot be read."""
        while not self._stopping.is_set():
            try:
                self._run.cursor = await self._run.state_store.read_cursor(self.spec.key) or self._run.cursor
                earlier = await self._run.state_store.read_state(self.spec.key)
                unsent = await self._run.state_store.read_unsent(self.spec.key)
                if self._run.tokens is not None:
                    self._run.tokens.restore_rotated(await self._run.state_store.read_token(self.spec.key))
                break
            except Exception as error:
                await self._pause(self._record_failure(PollError("internal", f"the catalog cannot be read: {error}")))
        else:
            return
        if earlier is not None:
            self.tracker.restore_counts(earlier)
        for payload in unsent:
            self._run.outbox.put(payload, self._run.delivery_callback(len(payload.body)), kept=True)
        await self._run.wait_for_intake(self._run.outbox.wait_empty)

    async def _first_wait(self) -> None:
        """Wait for the next time of a cron schedule, unless one was missed since the last poll. Other schedules do not
        wait before the first poll."""
        schedule, last = self.spec.schedule, self.tracker.state.last_poll_ns
        if isinstance(schedule, Cron) and not (last and schedule.due_ns(last) <= self._now_ns()):
            await self._pause_until(schedule.due_ns(self._now_ns()))

    async def _take_turn(self) -> None:
        """One step, and the wait after it. An unexpected error is a failure of this source, not of the poller."""
        self.tracker.begin_poll()
        try:
            if not self._run.outbox.ready:
                await self._run.wait_for_intake(self._run.outbox.wait_ready)
                if self._stopping.is_set():
                    return
            more = await self._step.poll_once()
        except PollError as error:
            await self._pause(self._record_failure(error))
        except Exception as error:
            tokens = () if self._run.tokens is None else self._run.tokens.secrets
            hide = Redaction((*self.spec.secrets, *tokens)).hide
            log.error("polling %s failed: %s", self.spec.key, hide("".join(traceback.format_exception(error))))
            await self._pause(self._record_failure(PollError("internal", f"{type(error).__name__}: {error}")))
        else:
            await self._wait(more)

    async def _wait(self, more: bool) -> None:
        """Wait for the next poll after an answer; not at all if there is `more` data."""
        schedule = self.spec.schedule
        if more:
            await self._pause(0.0)
        elif isinstance(schedule, Cron):
            await self._pause_until(schedule.due_ns(self._now_ns()))
        else:
            await self._pause(schedule.seconds)

    def _record_failure(self, error: PollError) -> float:
        """Note a failure; returns the seconds to wait after it."""
        failures = self.tracker.note_failure(error.reason, error.detail)
        if error.at_least_s and self.spec.origin:
            until_ns = self._now_ns() + int(error.at_least_s * NS_PER_S)
            self.tracker.note_hold(self.spec.origin, until_ns)
            self._run.host.hold(self.spec.feed, until_ns)
        if self.tracker.state.state == "open":
            return max(self.spec.breaker.rest_s, error.at_least_s)
        return self._backoff.delay_s(failures, self._run.rng, error.at_least_s)

    async def _pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until stopped."""
        self.tracker.end_poll(self._now_ns() + int(seconds * NS_PER_S))
        await self._sleep(seconds)

    async def _pause_until(self, due_ns: int) -> None:
        """Wait for an instant of the clock, or until stopped."""
        self.tracker.end_poll(due_ns)
        while not self._stopping.is_set() and (left_ns := due_ns - self._now_ns()) > 0:
            await self._sleep(min(left_ns / NS_PER_S, _CLOCK_CHECK_S))

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
