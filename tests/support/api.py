"""The real API on a real socket, in a thread: real log, catalog and feeds; the store is what address it is given."""

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvloop

from tests.support.server import free_port
from tidemill.api import server as api_server
from tidemill.api.app import create_app
from tidemill.api.applied import Applied
from tidemill.api.deleted import Deleted
from tidemill.api.services import Services
from tidemill.catalog.cursor_key import cursor_key
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.keys import KeyRing
from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.feeds.book import FeedBook
from tidemill.feeds.recipes import RECIPES
from tidemill.hints import Hints
from tidemill.log.limits import LogLimits
from tidemill.log.reader import SqliteLogReader
from tidemill.log.sqlite import SqliteLog
from tidemill.mill import position, status
from tidemill.mill.worker import Mill
from tidemill.query.cursors import Seals
from tidemill.query.queries import Queries
from tidemill.settings import Settings
from tidemill.store.client import Store, StoreAddress

SECRET = secrets.token_hex(8)


@dataclass
class Api:
    """A running API. `client` speaks to it; `services` are its parts; `hints` is the mill's end of the pair."""

    url: str
    port: int
    services: Services
    hints: Hints
    client: httpx.Client = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)

    def call(self, work: Callable[[], Any]) -> None:
        """Run something in the API's event loop."""
        self.loop.call_soon_threadsafe(work)


def services(
    folder: Path,
    *,
    settings: Settings | None = None,
    store: StoreAddress | None = None,
    limits: LogLimits | None = None,
    store_settings: dict[str, str | int] | None = None,
    open_access: bool = True,
    hints: Hints | None = None,
) -> Services:
    settings = settings or Settings(data=str(folder))
    log = SqliteLog(folder / "log", limits=limits or LogLimits(min_free_bytes=0, min_free_ratio=0))
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    texts = CatalogFeeds(catalog)
    texts.install("default", RECIPES)
    book = FeedBook(texts, {})
    applied = Applied(lambda: position.LogProgress((position.read(folder / "position"),)), hints)
    deleted = Deleted(applied)
    client = Store(
        store or StoreAddress("127.0.0.1", free_port(), password="x", database="default"), settings=store_settings
    )
    return Services(
        settings=settings,
        log=log,
        keys=KeyRing(catalog),
        book=book,
        texts=texts,
        catalog=catalog,
        store=client,
        queries=Queries(client, log, book, deleted.of, applied.through, seals=Seals(cursor_key(catalog))),
        applied=applied,
        deleted=deleted,
        mill_status=lambda: (status.read(folder / "mill.json"),),
        clock=time.time_ns,
        internal_secret=SECRET,
        open_access=open_access,
    )


@contextmanager
def running_mill(folder: Path, store: StoreAddress, hints: Hints) -> Iterator[None]:
    """The real mill in a thread, on the log, catalog and position of `services(folder)`."""
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    reader, client, stop = SqliteLogReader(folder / "log"), Store(store), threading.Event()
    place, book = position.Position(folder / "position"), FeedBook(CatalogFeeds(catalog), {})
    mill = Mill(reader, client, book, place, hints, replays=CatalogReplays(catalog))
    thread = threading.Thread(target=mill.run, args=(stop,), name="mill")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        reader.close()
        catalog.close()


@contextmanager
def running_api(folder: Path, **options: Any) -> Iterator[Api]:
    """Serve until the `with` ends; then the log is closed, as after SIGTERM."""
    folder.mkdir(parents=True, exist_ok=True)
    ours, theirs = Hints.pair()
    parts = services(folder, hints=ours, **options)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = api_server.build(create_app(parts), parts.settings, parts.applied.stop)
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
            yield Api(url, port, parts, theirs, client, loops[0])
        finally:
            server.should_exit = True
            thread.join(15)
            parts.keys.close()
            parts.catalog.close()
            theirs.close()
            ours.close()
