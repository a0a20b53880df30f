"""The composition root: names the concrete classes and builds each process of them.

`python -m tidemill.service ROLE LIFELINE_FD`, started by `supervise.py` with a `Runtime` on standard input.
"""

import logging
import math
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tidemill import telemetry
from tidemill.catalog.contract import Catalog
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.keys import CLOSED_KEY, ever_keys
from tidemill.catalog.opening import open_catalog
from tidemill.catalog.replays import CatalogReplays
from tidemill.clock import Trust
from tidemill.errors import StartupError, TidemillError, UnavailableError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.recipes import FORMER_RECIPES, RECIPES, is_shipped_recipe
from tidemill.feeds.variables import TenantScopes
from tidemill.lifeline import Lifeline
from tidemill.lock import FolderLock
from tidemill.settings import DEFAULT_TENANT, Runtime, Settings
from tidemill.wake import WakePipe

if TYPE_CHECKING:
    from tidemill.feeds.definition import Feed
    from tidemill.log.contract import IntakeLog
    from tidemill.mill.crew import Crew
    from tidemill.sources.state import Unusable

log = logging.getLogger(__name__)

_MILL_NICE: Final = 10  # acknowledging comes before applying
_STORE_NICE: Final = 10
_WORKER_NICE: Final = 10
_STORE_BYTES: Final = 1 << 30  # of memory, for all statements together
_STORE_ROOM_BYTES: Final = 256 << 20  # beside the largest of them
_SWITCH_S: Final = 0.0005  # answers wait for the log's thread, which needs the interpreter after each commit
_MILL_SILENCE_S: Final = 60.0
_WORKER_SILENCE_S: Final = 60.0
_MILL_TIMEOUT_S: Final = 100.0  # of a statement of the mill, which may take longer than a client's query


def feed_texts(catalog: Catalog, tenant: str = DEFAULT_TENANT) -> CatalogFeeds:
    """The feed texts of a catalog; installs the recipes for `tenant`."""
    texts = CatalogFeeds(catalog)
    texts.install(tenant, RECIPES, FORMER_RECIPES)
    return texts


def open_book(catalog: Catalog, settings: Settings, tenant: str = DEFAULT_TENANT) -> FeedBook:
    """The feed definitions of a catalog with their sources, for the poller; installs the recipes for `tenant`."""
    scopes = TenantScopes(os.environ, settings, lambda: ever_keys(catalog))
    return FeedBook(feed_texts(catalog, tenant), scope_of=scopes.scope_of)


def run_store(runtime: Runtime, lifeline: Lifeline) -> None:
    """Run the embedded engine until SIGTERM."""
    from tidemill.store.engine.server import EngineOptions, run_engine

    os.nice(_STORE_NICE)
    options = EngineOptions(
        path=runtime.settings.folder / "store",
        secret=runtime.store_secret,
        listen=f"{runtime.store_host}:{runtime.store_port}",
        max_memory=max(_STORE_BYTES, runtime.settings.insert_memory + _STORE_ROOM_BYTES),
        end_with_parent=not runtime.alone,
        generations_fd=_fd_or_none(runtime.generations_fd),
    )
    run_engine(options, lifeline.beat)


def run_mill(runtime: Runtime, lifeline: Lifeline) -> None:
    """Run the mill and, in a thread beside it, the poller, until SIGTERM."""
    from tidemill.sources.addresses import AddressPolicy
    from tidemill.sources.ledger import poll_rows
    from tidemill.sources.poller import Poller
    from tidemill.sources.submit import InternalIntake

    os.nice(_MILL_NICE)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder = runtime.settings.folder
    (folder / "mill").mkdir(exist_ok=True)
    lock = FolderLock(folder / "mill", "mill.lock")
    catalog = open_catalog(folder)
    book = open_book(catalog, runtime.settings)
    store = _mill_store(runtime)
    mill = _crew(runtime, store, book, catalog)
    turning = threading.Event()  # set once the store answers, for which the mill waits as long as that takes
    lifeline.beat_while(lambda: not turning.is_set() or time.monotonic() - mill.last_turn < _MILL_SILENCE_S)
    if not _bring_up_to_date(store.address, stop):
        return
    turning.set()

    def sources() -> "Iterator[tuple[str, Feed | Unusable]]":
        # Read anew each time: a feed that was applied with a key is never polled as if there were no keys.
        networks = runtime.settings.source_networks(closed=ever_keys(catalog))
        poller.set_policy(AddressPolicy.parse(networks))
        return _sources(catalog, book)

    texts = CatalogFeeds(catalog)
    poller = Poller(
        sources,
        catalog,
        InternalIntake(runtime.internal_port, runtime.intake_secret),
        record=lambda polls: store.insert("polls", poll_rows(polls)),
        max_depth=runtime.settings.max_depth,
        renew_secrets=book.renew_secrets,
        removed=texts.removed_everywhere,
    )

    def feeds_changed() -> None:
        book.refresh()
        poller.notify_changed()

    def access_closed() -> None:
        book.clear_compiled()
        poller.notify_changed()

    texts.watch(feeds_changed)
    catalog.watch(CLOSED_KEY, access_closed)
    CatalogReplays(catalog).watch(mill.wake)
    poller.start()
    # Both end at the same moment: what the poller fetched must reach the log before the API ends.
    ending = threading.Thread(target=lambda: (stop.wait(), poller.stop()), name="end-poller")
    ending.start()
    try:
        mill.run_until(stop)
    finally:
        stop.set()
        ending.join()
        lock.release()


def _crew(runtime: Runtime, store: Any, book: FeedBook, catalog: Catalog) -> "Crew":
    """A mill for each partition. Each has a store client of its own, so that a hung one does not hold the others."""
    from tidemill.hints import Hints
    from tidemill.log.opening import open_partition_reader
    from tidemill.mill.backup_hold import BackupHold
    from tidemill.mill.crew import Crew
    from tidemill.mill.parts import MillParts
    from tidemill.mill.state_files import FileMillState, mill_folder
    from tidemill.mill.turns import Turns
    from tidemill.mill.worker import Mill
    from tidemill.model.offset import Partition
    from tidemill.store.freeze import FROZEN, freeze_tables

    folder, count = runtime.settings.folder, runtime.settings.partitions
    # A mill that runs alone gets no hints, and looks at the log 20 times a second, as it does besides.
    hints, turns = Hints.from_fd(runtime.hint_fd) if runtime.hint_fd >= 0 else Hints.pair()[0], Turns(count)
    backup_hold = BackupHold(folder / "mill", folder / "store" / FROZEN, lambda: freeze_tables(store), count)

    def mill_of(partition: Partition, end: Hints) -> Mill:
        return Mill(
            MillParts(
                open_partition_reader(folder, partition.number, runtime.settings.log),
                _mill_store(runtime) if partition.number else store,
                book,
                FileMillState(mill_folder(folder, partition.number), partition.start, catalog),
                end,
                work=mill_folder(folder, partition.number) / "replays",
                max_depth=runtime.settings.max_depth,
                replays=CatalogReplays(catalog),
                trust=_trust(runtime.settings),
                partition=partition,
            ),
            backup_hold=backup_hold,
            turns=turns,
        )

    ends = [hints] if count == 1 else hints.shared(count)
    return Crew([mill_of(Partition(number, count), end) for number, end in enumerate(ends)])


def run_worker(runtime: Runtime, lifeline: Lifeline) -> None:
    """Do long jobs until SIGTERM or until there is none. The memory of the process is bounded by a setting."""
    from tidemill.jobs.work import job_works
    from tidemill.jobs.worker import LINGER_S, Worker

    os.nice(_WORKER_NICE)
    memory = runtime.settings.worker_memory
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder = runtime.settings.folder
    lock = FolderLock(folder / "run", "worker.lock")
    catalog = open_catalog(folder)
    settings = runtime.settings
    store = cache(lambda: _store(runtime, settings.query_timeout, settings.query_memory))
    linger_s = math.inf if runtime.alone else LINGER_S  # nobody would start it again
    worker = Worker(job_works(catalog, store, settings), WakePipe(*runtime.wake_fds), linger_s=linger_s)
    lifeline.beat_while(lambda: time.monotonic() - worker.last_turn < _WORKER_SILENCE_S)
    try:
        worker.run_jobs(stop)
    finally:
        lock.release()


def run_api(runtime: Runtime, lifeline: Lifeline) -> None:
    """Serve HTTP on the public and the internal listener until SIGTERM."""
    from tidemill.api.app import create_app
    from tidemill.api.applied import AppliedOffsets
    from tidemill.api.draining import Draining
    from tidemill.api.pending_deletions import PendingDeletions
    from tidemill.api.server import build_server
    from tidemill.api.services import Services
    from tidemill.catalog.cursor_key import cursor_key
    from tidemill.catalog.keys import KeyRing
    from tidemill.hints import Hints
    from tidemill.mill.state import progress_of
    from tidemill.mill.state_files import mill_states
    from tidemill.query.cursors import Seals
    from tidemill.query.queries import Queries
    from tidemill.store.deletions import read_feed_series
    from tidemill.store.generations import Generations

    sys.setswitchinterval(_SWITCH_S)
    settings, folder = runtime.settings, runtime.settings.folder
    intake_log = _intake_log(settings)
    mills = mill_states(folder, settings.partitions)
    catalog = open_catalog(folder)
    texts = feed_texts(catalog)
    book = FeedBook(texts)
    generations = Generations(_fd_or_none(runtime.generations_fd))
    store = _store(runtime, settings.query_timeout, settings.query_memory, generations)
    applied = AppliedOffsets(lambda: progress_of(mills), None if runtime.alone else Hints.from_fd(runtime.hint_fd))
    draining = Draining(settings.drain)
    pending = PendingDeletions(applied, intake_log, partial(read_feed_series, store))
    services = Services(
        settings=settings,
        log=intake_log,
        keys=KeyRing(catalog),
        book=book,
        texts=texts,
        catalog=catalog,
        store=store,
        queries=Queries(
            store, intake_log, book, pending.hidden_series, applied.through, seals=Seals(cursor_key(catalog))
        ),
        applied=applied,
        pending_deletions=pending,
        mills=mills,
        clock=time.time_ns,
        internal_secret=runtime.intake_secret,
        open_access=runtime.open_access,
        wake_worker=WakePipe(*runtime.wake_fds).wake,
        warm_workers=True,
        draining=draining,
    )
    sockets = [socket.socket(fileno=fd) for fd in (runtime.listen_fd, runtime.internal_fd)]
    server = build_server(create_app(services), settings, applied.stop, lifeline.beat, draining)
    server.run(sockets)  # on uvloop


def _intake_log(settings: Settings) -> "IntakeLog":
    """The log, opened as its owner."""
    from tidemill.log.limits import LogLimits
    from tidemill.log.opening import link_to, open_log, parse_log_address
    from tidemill.log.shared_log import claim_shared_log, read_mark
    from tidemill.mill.state_files import mill_states

    limits = LogLimits(
        keep_applied_s=settings.log_keep_s,
        keep_bytes=settings.log_keep_bytes // settings.partitions,
        min_free_bytes=settings.min_free_bytes,
        min_free_ratio=settings.min_free_ratio,
    )
    known = [state.progress().highest for state in mill_states(settings.folder, settings.partitions)]
    opened = open_log(settings.folder, known, limits=limits, trust=_trust(settings), shared=settings.log)
    if (mark := read_mark(settings.folder)) is not None:
        address = parse_log_address(settings.log)
        claim_shared_log(link_to(address.servers), address, mark.installation)
    return opened


def run_demo(runtime: Runtime, lifeline: Lifeline) -> None:
    """Simulate traffic through all five feeds until SIGTERM."""
    from tidemill.simulate.demo import run_demo_traffic

    lifeline.beat_while(lambda: True)
    run_demo_traffic(runtime.url, {name: socket.socket(fileno=fd) for name, fd in runtime.stand_ins})


ROLES: Final[dict[str, Callable[[Runtime, Lifeline], None]]] = {
    "store": run_store,
    "mill": run_mill,
    "api": run_api,
    "worker": run_worker,
    "demo": run_demo,
}


def _store(runtime: Runtime, query_timeout_s: float, memory_bytes: int, generations: Any = None) -> Any:
    from tidemill.store.client import Store, StoreAddress

    return Store(
        StoreAddress(
            host=runtime.store_host,
            port=runtime.store_port,
            user=runtime.store_user,
            password=runtime.store_secret,
            database=runtime.store_database,
        ),
        settings={"max_execution_time": int(query_timeout_s), "max_memory_usage": memory_bytes},
        generations=generations,
    )


def _fd_or_none(fd: int) -> int | None:
    return fd if fd >= 0 else None


def _mill_store(runtime: Runtime) -> Any:
    memory = max(runtime.settings.query_memory, runtime.settings.insert_memory)
    return _store(runtime, _MILL_TIMEOUT_S, memory)


def _trust(settings: Settings) -> Trust:
    return Trust(settings.clock_wait, settings.clock_confirmed_ns)


def _bring_up_to_date(address: Any, stop: threading.Event) -> bool:
    """Migrate the store, waiting for it without limit; false if `stop` was set meanwhile."""
    from tidemill.store.migrate import migrate

    while not stop.is_set():
        try:
            applied = migrate(address)
        except UnavailableError:
            stop.wait(0.05)
        else:
            if applied:
                log.info("migrated the store", extra={"facts": {"files": applied}})
            return True
    return False


def _sources(catalog: Catalog, book: FeedBook) -> "Iterator[tuple[str, Feed | Unusable]]":
    """Yields every feed that polls. A shipped recipe polls for the default tenant only, because two tenants that poll
    the same server would each get half of its points. A definition that a tenant applied polls for that tenant."""
    from tidemill.sources.state import Unusable

    texts = CatalogFeeds(catalog)
    for tenant in texts.tenants():
        for name in texts.names(tenant):
            text = None
            try:
                text = texts.current(tenant, name)
                if (
                    text is None
                    or text.removal
                    or (tenant != DEFAULT_TENANT and is_shipped_recipe(name, text.text, text.sha256))
                ):
                    continue
                feed = book.current(tenant, name)
            except TidemillError as error:  # for instance a ${NAME} that this process has not: other feeds go on
                if text is None or "[source" in text.text:
                    yield tenant, Unusable(name, error.message)
                continue
            if feed.source is not None:
                yield tenant, feed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one role until it ends; returns the exit status of a failure, or ends the process with status 0."""
    role, lifeline_fd = arguments or sys.argv[1:3]
    runtime = msgspec.json.decode(sys.stdin.buffer.read(), type=Runtime)
    telemetry.configure_logging(role, runtime.settings.log_level, runtime.settings.log_format)
    try:
        lifeline = Lifeline(int(lifeline_fd))
        lifeline.watch()
        ROLES[role](runtime, lifeline)
    except StartupError as error:
        log.error(error.message)
        return 2
    except TidemillError:
        log.exception("ended by an error")
        return 1
    logging.shutdown()
    # Not sys.exit: it would wait for threads that may hold a query which does not heed its cancellation. Everything
    # acknowledged is durable.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
