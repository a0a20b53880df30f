"""Polls all sources, each in a task of its own so that none delays another, in one thread with its own event loop.

`sources` lists the feeds; `notify_changed` (from any thread) makes the poller list them again: it starts tasks of new
sources, ends those of removed or changed sources, and does not touch the others. States and poll rows are written once
a second, never by a task. Does not use log and store: payloads go to `submit`, states and cursors to the catalog, poll
rows to `record`.
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
from tidemill.sources.http import HttpClient
from tidemill.sources.outbox import Submit
from tidemill.sources.pacing import Pacing
from tidemill.sources.redact import Redaction
from tidemill.sources.source_run import SourceRun
from tidemill.sources.source_spec import SourceSpec, compile_specs, source_key
from tidemill.sources.state import Poll, SourceState, Unusable
from tidemill.sources.state_store import SourceStateStore
from tidemill.sources.task import SourceTask

log = logging.getLogger(__name__)

Sources = Callable[[], Iterable[tuple[str, Feed | Unusable]]]
_PUBLIC: Final = AddressPolicy()
_ROWS_AT_ONCE: Final = 5_000
_MAX_ROWS: Final = 200_000  # kept while the ledger cannot be written; beyond it the oldest are dropped


class Poller:
    """Polls from `start` to `stop`. `sources` returns (tenant, current feed) pairs and may block. `policy`: the
    addresses that the server lets sources reach; `max_depth`: how deep an answer may nest. `submit` is called in the
    poller's loop, the catalog in another thread, and `record` (of poll rows) in a third: it may take long, is called
    again with the same rows if it raises, and at the end is waited for at most `record_grace_s`. `renew_secrets` is
    called every second and returns whether a secret has changed; then `sources` is called again. It may block.
    `removed`: the feeds (tenant, name) that were removed: what is kept of their sources is deleted. It may block."""

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
        removed: Callable[[], Iterable[tuple[str, str]]] = tuple,
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
        self._removed = removed
        self._running: dict[str, tuple[SourceTask, asyncio.Task[None]]] = {}
        self._with_state: set[str] | None = None  # sources with a state in the catalog; None: not known yet
        self._faulty: dict[str, SourceState] = {}  # the states of feeds that cannot be polled
        self._rows: deque[Poll] = deque(maxlen=_MAX_ROWS)
        self._recording = asyncio.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reload = asyncio.Event()
        self._ending = False

    def start(self) -> None:
        """Start polling in a thread."""
        self._thread = threading.Thread(target=self._main, name="poller", daemon=True)
        self._thread.start()

    def notify_changed(self) -> None:
        """Make the poller list the feeds again soon. Thread-safe; does nothing before `start` and after `stop`."""
        self._wake()

    def set_policy(self, policy: AddressPolicy) -> None:
        """Use this policy from the next listing of the feeds on; running sources are then restarted under it."""
        self._policy = policy

    def stop(self, timeout_s: float = 8.0) -> bool:
        """End all polling; returns whether it ended within `timeout_s`. Fetched payloads are delivered or saved in the
        catalog."""
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
                loop.call_soon_threadsafe(self._reload.set)
            except RuntimeError:
                return  # the loop has ended

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._run())

    async def _run(self) -> None:
        self._state_store = SourceStateStore(self._catalog)
        self._recorder = ThreadPoolExecutor(1, "sources-record")
        writing = [asyncio.create_task(work) for work in (self._collect_forever(), self._record_forever())]
        while not self._ending:
            self._reload.clear()
            done = await self._attempt(self._reconcile())
            wait_s = (self._pacing.look_again_s if self._faulty else None) if done else self._pacing.write_every_s
            try:
                async with asyncio.timeout(wait_s):
                    await self._reload.wait()
            except TimeoutError:
                continue
        await self._end_tasks(list(self._running))
        await self._record_last()
        for task in writing:
            task.cancel()
        await asyncio.wait(writing)
        self._recorder.shutdown(wait=False)
        self._state_store.close()

    async def _reconcile(self) -> None:
        """Start and end tasks so that they are those of the current feeds. If it raises, running tasks go on, and it is
        called again."""
        feeds = await self._state_store.run_blocking(lambda: list(self._sources()))
        wanted, self._faulty = self._compile(feeds)
        new = wanted.keys() - self._running.keys()
        await self._hold([wanted[key] for key in new])
        for key in new:
            self._start_task(wanted[key])
        ended = [
            key
            for key, (task, _) in self._running.items()
            if (wanted.get(key), self._policy) != (task.spec, task.policy)
        ]
        await self._end_tasks(ended)
        for key in wanted.keys() & set(ended):
            self._start_task(wanted[key])
        await self._save_fault_states(wanted.keys(), self._faulty)
        await self._state_store.delete_feeds(await self._state_store.run_blocking(lambda: list(self._removed())))

    async def _hold(self, specs: Sequence[SourceSpec]) -> None:
        """Hold each host until the instant of its `Retry-After` to an earlier run, before any item is polled."""
        latest_ns = self._now_ns() + int(LONGEST_S * NS_PER_S)  # a later instant was written with a wrong clock
        for spec in specs:
            earlier = await self._state_store.read_state(spec.key)
            if earlier and earlier.retry_ns and earlier.retry_host == spec.origin and earlier.retry_ns <= latest_ns:
                self._hosts.host_of(spec.tenant, spec.origin).hold(spec.feed, earlier.retry_ns)

    def _compile(
        self, feeds: Iterable[tuple[str, Feed | Unusable]]
    ) -> tuple[dict[str, SourceSpec], dict[str, SourceState]]:
        """The specs to poll by key, and the states of feeds that cannot be polled, which say why."""
        wanted: dict[str, SourceSpec] = {}
        faulty: dict[str, SourceState] = {}
        for tenant, feed in feeds:
            why = feed.why if isinstance(feed, Unusable) else ""
            if not isinstance(feed, Unusable):
                try:
                    wanted |= {spec.key: spec for spec in compile_specs(tenant, feed)}
                except Exception as error:  # no error of a feed keeps the others from being polled
                    why = Redaction(feed.source.hidden if feed.source else ()).hide(str(error) or type(error).__name__)
            if why:
                key = source_key(tenant, feed.name, "")
                faulty[key] = self._fault_state(tenant, feed.name, why, self._faulty.get(key))
        return wanted, faulty

    def _fault_state(self, tenant: str, name: str, why: str, before: SourceState | None) -> SourceState:
        """The state of a feed that cannot be polled: `before` if it has the same reason."""
        if before is not None and before.detail == why:
            return before
        log.warning("feed %s of tenant %s cannot be polled: %s", name, tenant, why)
        state = SourceState(tenant=tenant, feed=name, item="", state="failing", since_ns=self._now_ns())
        return msgspec.structs.replace(state, reason="definition", detail=why)

    async def _save_fault_states(self, wanted: Iterable[str], faulty: dict[str, SourceState]) -> None:
        """Save the states of faulty feeds, and delete those of sources that do not exist any more."""
        for key, state in faulty.items():
            await self._state_store.save_state(key, state)
        with_state = await self._state_store.keys_with_state() if self._with_state is None else self._with_state
        for key in with_state - set(wanted) - faulty.keys():
            await self._state_store.delete_state(key)
        self._with_state = {*wanted, *faulty}

    def _start_task(self, spec: SourceSpec) -> None:
        rng = random.Random(self._rng.getrandbits(64))
        run = SourceRun(
            spec,
            HttpClient(self._policy.within(spec.allow)),
            self._submit,
            self._state_store,
            pacing=self._pacing,
            now_ns=self._now_ns,
            rng=rng,
            host=self._hosts.host_of(spec.tenant, spec.origin),
            max_depth=self._max_depth,
        )
        task = SourceTask(run, self._policy)
        self._running[spec.key] = task, asyncio.create_task(task.poll_until_stopped(), name=spec.key)

    async def _end_tasks(self, keys: Sequence[str]) -> None:
        """Stop these tasks: a fetch may complete within `fetch_grace_s`; its payload is delivered or saved."""
        if not keys:
            return
        ending = [self._running.pop(key) for key in keys]
        for task, _ in ending:
            task.stop()
        _, late = await asyncio.wait({running for _, running in ending}, timeout=self._pacing.fetch_grace_s)
        for task, running in ending:
            if running in late:
                task.cancel_fetch()
        for key, (task, running) in zip(keys, ending, strict=True):
            if isinstance(error := (await asyncio.gather(running, return_exceptions=True))[0], Exception):
                log.error("the task of %s ended with an error", key, exc_info=error)
            await self._collect(task)

    async def _collect_forever(self) -> None:
        while True:
            await asyncio.sleep(self._pacing.write_every_s)
            for task, _ in list(self._running.values()):
                await self._collect(task)
            await self._attempt(self._check_secrets())

    async def _check_secrets(self) -> None:
        if await self._state_store.run_blocking(self._renew_secrets):
            self._reload.set()

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

    async def _collect(self, task: SourceTask) -> None:
        state = task.take_changed_state()
        if state is not None and not await self._attempt(self._state_store.save_state(task.spec.key, state)):
            task.tracker.mark_unsaved()
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
        """Await `work` and log an error that it raises; whether it succeeded. The caller tries again later."""
        try:
            await work
        except Exception as error:
            log.warning("the poller could not read or write what it needs: %s: %s", type(error).__name__, error)
            return False
        return True
