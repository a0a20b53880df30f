"""Runs the real API on a real socket, in a thread: real log, catalog and feeds, and the store at a given address."""

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvloop

from tests.support.engine import generations_of
from tests.support.server import free_port
from tidemill.api import server as api_server
from tidemill.api.app import create_app
from tidemill.api.applied import AppliedOffsets
from tidemill.api.pending_deletions import PendingDeletions
from tidemill.api.services import Services
from tidemill.catalog.contract import Catalog
from tidemill.catalog.cursor_key import cursor_key
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.forecasts import CatalogForecasts
from tidemill.catalog.jobs import CatalogJobs
from tidemill.catalog.keys import KeyRing
from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.feeds.book import FeedBook
from tidemill.feeds.recipes import RECIPES
from tidemill.hints import Hints
from tidemill.jobs.forecast import FitWork
from tidemill.jobs.verify import VerifyWork
from tidemill.jobs.worker import Worker
from tidemill.log.contract import BacklogReader, IntakeLog, LogReader
from tidemill.log.limits import LogLimits
from tidemill.log.partitioned import PartitionedReader
from tidemill.log.sqlite import SqliteLog, SqliteLogReader
from tidemill.mill.crew import Crew
from tidemill.mill.parts import MillParts
from tidemill.mill.state import progress_of
from tidemill.mill.state_files import FileMillState
from tidemill.mill.turns import Turns
from tidemill.mill.verify.verifier import Verifier
from tidemill.mill.worker import Mill
from tidemill.model.forecast import Fit
from tidemill.model.offset import Partition, partition_of
from tidemill.query.cursors import Seals
from tidemill.query.queries import Queries
from tidemill.settings import Settings
from tidemill.store.client import Store, StoreAddress
from tidemill.store.deletions import read_feed_series
from tidemill.wake import WakePipe

SECRET = secrets.token_hex(8)


@dataclass
class Api:
    """A running API. `client` sends requests to it; `services` are its collaborators; `hints` is the mill's end of the
    pair, `wake` the worker's pipe."""

    url: str
    port: int
    services: Services
    hints: Hints
    wake: WakePipe
    client: httpx.Client = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)

    def call(self, work: Callable[[], Any]) -> None:
        """Run `work` in the API's event loop."""
        self.loop.call_soon_threadsafe(work)


def services(
    folder: Path,
    *,
    settings: Settings | None = None,
    store: StoreAddress | None = None,
    limits: LogLimits | None = None,
    log: IntakeLog | None = None,
    store_settings: dict[str, str | int] | None = None,
    open_access: bool = True,
    hints: Hints | None = None,
    wake: WakePipe | None = None,
    page_folder: Path | None = None,
    guide_folder: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Services:
    settings = settings or Settings(data=str(folder))
    log = log or SqliteLog(folder / "log", limits=limits or LogLimits(min_free_bytes=0, min_free_ratio=0))
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    texts = CatalogFeeds(catalog)
    texts.install("default", RECIPES)
    book = FeedBook(texts, {})
    mills = mill_states(folder, log)
    applied = AppliedOffsets(lambda: progress_of(mills), hints)
    address = store or StoreAddress("127.0.0.1", free_port(), password="x", database="default")
    client = Store(address, settings=store_settings, generations=generations_of(address))
    pending = PendingDeletions(applied, log, partial(read_feed_series, client))
    return Services(
        settings=settings,
        log=log,
        keys=KeyRing(catalog),
        book=book,
        texts=texts,
        catalog=catalog,
        store=client,
        queries=Queries(client, log, book, pending.hidden_series, applied.through, seals=Seals(cursor_key(catalog))),
        applied=applied,
        pending_deletions=pending,
        mills=mills,
        clock=clock,
        internal_secret=SECRET,
        open_access=open_access,
        wake_worker=(wake or WakePipe.new()).wake,
        page_folder=page_folder or folder / "no-page",  # a test says what page there is, whatever was built here
        guide_folder=guide_folder or folder / "no-guide",
    )


def mill_states(folder: Path, log: LogReader, catalog: Catalog | None = None) -> list[FileMillState]:
    """The states of the mills of a log, in a folder of these tests."""
    starts = [Partition(partition_of(partition.last_seq())).start for partition in log.partitions]
    return [
        FileMillState(folder / f"mill-{number}" if number else folder, start, catalog)
        for number, start in enumerate(starts)
    ]


@contextmanager
def running_mill(
    folder: Path, store: StoreAddress, hints: Hints, readers: Sequence[BacklogReader] = ()
) -> Iterator[None]:
    """The real mill in a thread, on the catalog and mills' states of `services(folder)`; `readers` of the partitions of
    a log, if that is not the one in the folder."""
    catalog, stop = SqliteCatalog(folder / "catalog.sqlite"), threading.Event()
    log = PartitionedReader(readers or [SqliteLogReader(folder / "log")])
    states, count = mill_states(folder, log, catalog), len(log.partitions)
    ends = [hints] if count == 1 else hints.shared(count)
    turns, book = Turns(count), FeedBook(CatalogFeeds(catalog), {})
    mills = [
        Mill(
            MillParts(
                reader,
                Store(store),
                book,
                state,
                end,
                work=folder / f"replays-{number}",
                replays=CatalogReplays(catalog),
                partition=Partition(partition_of(state.start), count),
            ),
            turns=turns,
        )
        for number, (reader, state, end) in enumerate(zip(log.partitions, states, ends, strict=True))
    ]
    thread = threading.Thread(target=Crew(mills).run_until, args=(stop,), name="mill")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        log.close()
        catalog.close()


@contextmanager
def running_worker(folder: Path, store: StoreAddress, wake: WakePipe) -> Iterator[None]:
    """The real worker in a thread, on the catalog, log and progress of `services(folder)`."""
    catalog, stop = SqliteCatalog(folder / "catalog.sqlite"), threading.Event()
    client, book = Store(store), FeedBook(CatalogFeeds(catalog), {})

    def verifier() -> Verifier:
        log = PartitionedReader([SqliteLogReader(folder / "log")])
        mills = mill_states(folder, log)
        return Verifier(client, book, lambda: log, lambda: progress_of(mills), catalog=catalog, live=True)

    work = VerifyWork(CatalogVerifications(catalog), lambda: client, verifier)
    fits = FitWork(
        CatalogJobs(catalog, Fit),
        CatalogForecasts(catalog),
        book,
        lambda: client,
        lambda: progress_of(mill_states(folder, PartitionedReader([SqliteLogReader(folder / "log")]))),
    )
    thread = threading.Thread(target=Worker([work, fits], wake, linger_s=3600).run_jobs, args=(stop,), name="worker")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        catalog.close()


@contextmanager
def running_api(folder: Path, **options: Any) -> Iterator[Api]:
    """Serve until the `with` ends; then the log is closed, as after SIGTERM."""
    folder.mkdir(parents=True, exist_ok=True)
    ours, theirs = Hints.pair()
    wake = WakePipe.new()
    parts = services(folder, hints=ours, wake=wake, **options)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = api_server.build_server(create_app(parts), parts.settings, parts.applied.stop)
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: uvloop.run(serve()), name="api")
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the API did not start"
        time.sleep(0.005)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=15, trust_env=False) as client:
        try:
            yield Api(url, port, parts, theirs, wake, client, loops[0])
        finally:
            server.should_exit = True
            thread.join(15)
            parts.keys.close()
            parts.catalog.close()
            theirs.close()
            ours.close()
            wake.close()
