"""Polls all sources: one task each, so that none delays another, in one thread with its own event loop.

`sources` says what there is; `changed` (from any thread) makes the poller look again: tasks of new sources start, of
gone or changed ones end, the others are not touched. States and poll rows are written once a second, never by a task.
Knows nothing of log and store: payloads go to `submit`, what must be remembered to the catalog, poll rows to `record`.
"""

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
import uvloop

from tidemill.catalog.contract import Catalog
from tidemill.decode.decoder import MAX_DEPTH
from tidemill.feeds.definition import Feed
from tidemill.model.time import NS_PER_S
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.hosts import LONGEST_S, SourceHosts
from tidemill.sources.outbox import Submit
from tidemill.sources.pacing import Pacing
from tidemill.sources.pull import Pull, compile_pulls, source_key
from tidemill.sources.redact import Redaction
from tidemill.sources.state import Poll, SourceState, Unusable
from tidemill.sources.state_store import SourceStateStore
from tidemill.sources.task import SourceTask

log = logging.getLogger(__name__)

Sources = Callable[[], Iterable[tuple[str, Feed | Unusable]]]
_PUBLIC: Final = AddressPolicy()
_ROWS_AT_ONCE: Final = 5_000
_MAX_ROWS: Final = 200_000  # kept while the ledger cannot be written; beyond it the oldest go


class Poller:
    """Runs from `start` to `stop`. `sources` gives (tenant, current feed) pairs and may block; `policy` says what the
    server lets them reach, `max_depth` how deep an answer may nest; `submit` is called in the poller's loop, the
    catalog in one other thread, and `record` (poll rows; may raise, then they come again) in a third: it may take long,
    and at the end it is not waited for longer than `record_grace_s`. `renew_secrets` is asked every second whether a
    secret has changed, for then the sources are looked at again; it may block."""

    def __init__(
        self,
        sources: Sources,
        catalog: Catalog,
        submit: Submit,
        *,
        policy: AddressPolicy = _PUBLIC,
        record: Callable[[Sequence[Poll]], None] | None = None,
        pacing: Pacing | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        rng: random.Random | None = None,
        max_depth: int = MAX_DEPTH,
        renew_secrets: Callable[[], bool] = lambda: False,
    ) -> None:
        self._sources = sources
        self._catalog = catalog
        self._submit = submit
        self._policy = policy
        self._record = record
        self._pacing = pacing or Pacing()
        self._now_ns = now_ns
        self._rng = rng or random.Random()
        self._max_depth = max_depth
        self._hosts = SourceHosts()
        self._renew_secrets = renew_secrets
        self._running: dict[str, tuple[SourceTask, asyncio.Task[None]]] = {}
        self._shown: set[str] | None = None  # sources with a state in the catalog; None: not known yet
        self._faulty: dict[str, SourceState] = {}  # the states of feeds that cannot be polled
        self._rows: deque[Poll] = deque(maxlen=_MAX_ROWS)
        self._recording = asyncio.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look = asyncio.Event()
        self._ending = False

    def start(self) -> None:
        """Start polling in a thread."""
        self._thread = threading.Thread(target=self._main, name="poller", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Feeds may have changed: look again soon. Thread-safe; harmless before `start` and after `stop`."""
        self._wake()

    def permit(self, policy: AddressPolicy) -> None:
        """From the next look on, sources reach what this policy lets them; those that run begin anew under it."""
        self._policy = policy

    def stop(self, timeout_s: float = 8.0) -> bool:
        """End all polling; whether it ended in time. What was fetched is delivered or kept by the catalog."""
        self._ending = True
        self._wake()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._look.set)
            except RuntimeError:
                return  # the loop has ended

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._run())

    async def _run(self) -> None:
        self._desk = SourceStateStore(self._catalog)
        self._recorder = ThreadPoolExecutor(1, "sources-record")
        writing = [asyncio.create_task(work) for work in (self._write_forever(), self._record_forever())]
        while not self._ending:
            self._look.clear()
            done = await self._attempt(self._reconcile())
            wait_s = (self._pacing.look_again_s if self._faulty else None) if done else self._pacing.write_every_s
            try:
                async with asyncio.timeout(wait_s):
                    await self._look.wait()
            except TimeoutError:
                continue
        await self._end(list(self._running))
        await self._record_last()
        for task in writing:
            task.cancel()
        await asyncio.wait(writing)
        self._recorder.shutdown(wait=False)
        self._desk.close()

    async def _reconcile(self) -> None:
        """Make the tasks those of the current feeds. Whatever it raises: those that run go on, and it comes again."""
        feeds = await self._desk.call(lambda: list(self._sources()))
        wanted, self._faulty = self._compile(feeds)
        new = wanted.keys() - self._running.keys()
        await self._hold([wanted[key] for key in new])
        for key in new:
            self._begin(wanted[key])
        gone = [
            key
            for key, (task, _) in self._running.items()
            if wanted.get(key) != task.pull or task.policy != self._policy
        ]
        await self._end(gone)
        for key in wanted.keys() & set(gone):
            self._begin(wanted[key])
        await self._show(wanted.keys(), self._faulty)

    async def _hold(self, pulls: Sequence[Pull]) -> None:
        """Leave hosts alone for as long as they asked an earlier run to, before any item of a feed is polled."""
        latest_ns = self._now_ns() + int(LONGEST_S * NS_PER_S)  # a later one is of a clock that was wrong
        for pull in pulls:
            earlier = await self._desk.state(pull.key)
            if earlier and earlier.retry_ns and earlier.retry_host == pull.origin and earlier.retry_ns <= latest_ns:
                self._hosts.of(pull.tenant, pull.origin).hold(pull.feed, earlier.retry_ns)

    def _compile(self, feeds: Iterable[tuple[str, Feed | Unusable]]) -> tuple[dict[str, Pull], dict[str, SourceState]]:
        """What is to be polled, by key; and the states of feeds that cannot be, which say why."""
        wanted: dict[str, Pull] = {}
        faulty: dict[str, SourceState] = {}
        for tenant, feed in feeds:
            why = feed.why if isinstance(feed, Unusable) else ""
            if not isinstance(feed, Unusable):
                try:
                    wanted |= {pull.key: pull for pull in compile_pulls(tenant, feed)}
                except Exception as error:  # whatever is wrong with one feed: the others are polled
                    why = Redaction(feed.source.hidden if feed.source else ()).hide(str(error) or type(error).__name__)
            if why:
                key = source_key(tenant, feed.name, "")
                faulty[key] = self._failing(tenant, feed.name, why, self._faulty.get(key))
        return wanted, faulty

    def _failing(self, tenant: str, name: str, why: str, before: SourceState | None) -> SourceState:
        """The state of a feed that cannot be polled; as it was, if that is known already."""
        if before is not None and before.detail == why:
            return before
        log.warning("feed %s of tenant %s cannot be polled: %s", name, tenant, why)
        state = SourceState(tenant=tenant, feed=name, item="", state="failing", since_ns=self._now_ns())
        return msgspec.structs.replace(state, reason="definition", detail=why)

    async def _show(self, wanted: Iterable[str], faulty: dict[str, SourceState]) -> None:
        """Show the states of faulty feeds, and none of sources that are no more."""
        for key, state in faulty.items():
            await self._desk.save_state(key, state)
        shown = await self._desk.shown() if self._shown is None else self._shown
        for key in shown - set(wanted) - faulty.keys():
            await self._desk.forget_state(key)
        self._shown = {*wanted, *faulty}

    def _begin(self, pull: Pull) -> None:
        rng = random.Random(self._rng.getrandbits(64))
        task = SourceTask(
            pull,
            self._policy,
            self._submit,
            self._desk,
            pacing=self._pacing,
            now_ns=self._now_ns,
            rng=rng,
            hosts=self._hosts,
            max_depth=self._max_depth,
        )
        self._running[pull.key] = task, asyncio.create_task(task.run(), name=pull.key)

    async def _end(self, keys: Sequence[str]) -> None:
        """Stop these tasks: their fetch may complete within the grace, what it brought is delivered or kept."""
        if not keys:
            return
        ending = [self._running.pop(key) for key in keys]
        for task, _ in ending:
            task.stop()
        _, late = await asyncio.wait({running for _, running in ending}, timeout=self._pacing.fetch_grace_s)
        for task, running in ending:
            if running in late:
                task.cut()
        for key, (task, running) in zip(keys, ending, strict=True):
            if isinstance(error := (await asyncio.gather(running, return_exceptions=True))[0], Exception):
                log.error("the task of %s ended with an error", key, exc_info=error)
            await self._write_one(task)

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(self._pacing.write_every_s)
            for task, _ in list(self._running.values()):
                await self._write_one(task)
            await self._attempt(self._look_at_secrets())

    async def _look_at_secrets(self) -> None:
        if await self._desk.call(self._renew_secrets):
            self._look.set()

    async def _record_forever(self) -> None:
        while True:
            await asyncio.sleep(self._pacing.write_every_s)
            await self._record_rows()

    async def _record_last(self) -> None:
        try:
            async with asyncio.timeout(self._pacing.record_grace_s):
                await self._record_rows()
        except TimeoutError:
            log.warning("the last polls may be missing in the poll ledger: it could not be written in time")

    async def _write_one(self, task: SourceTask) -> None:
        state = task.take_state()
        if state is not None and not await self._attempt(self._desk.save_state(task.pull.key, state)):
            task.tracker.touch()
        if self._record is not None:
            self._rows.extend(task.tracker.polls)
        task.tracker.polls.clear()

    async def _record_rows(self) -> None:
        record, loop = self._record, asyncio.get_running_loop()
        async with self._recording:
            while record is not None and self._rows:
                rows = [self._rows.popleft() for _ in range(min(len(self._rows), _ROWS_AT_ONCE))]
                if not await self._attempt(loop.run_in_executor(self._recorder, record, rows)):
                    self._rows.extendleft(reversed(rows))
                    return

    async def _attempt(self, work: Awaitable[object]) -> bool:
        """Do what may fail without harm: the next round does it again."""
        try:
            await work
        except Exception as error:
            log.warning("the poller could not read or write what it needs: %s: %s", type(error).__name__, error)
            return False
        return True
