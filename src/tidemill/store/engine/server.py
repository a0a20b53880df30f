"""The engine's process: options, the lock on its folder, the server, and an orderly end.

It ends on SIGTERM or SIGINT (exit 0 within a few seconds: reads that run on are cancelled, writes are finished), and
when its parent has died. Only one engine may hold a folder: a second one says who holds it and exits 1.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import uvicorn

from tidemill import telemetry
from tidemill.errors import StartupError
from tidemill.lock import FolderLock
from tidemill.store.engine import metadata, part_files
from tidemill.store.engine.app import EngineApp, EngineConfig
from tidemill.store.engine.errors import EngineError
from tidemill.store.engine.sessions import SessionPool

_log = logging.getLogger(__name__)

# Settings of every query unless its request says otherwise. 100 partitions an insert, the engine's default, would
# refuse twenty years of daily data in one upload.
DEFAULT_SETTINGS = {
    "max_threads": "2",
    # The engine takes a second thread only where a GiB is free for it, and its process has less.
    "max_threads_min_free_memory_per_thread": "0",
    # Read by the thread that asks: handing a few granules to others and waiting for them costs as much as reading them.
    "local_filesystem_read_method": "pread",
    "max_memory_usage": str(768 << 20),
    "max_execution_time": "60",
    "max_result_bytes": str(1 << 30),
    "max_partitions_per_insert_block": "0",
    "async_insert": "0",
    # The embedded engine has these on and a server has them off: `'text'` alone is no query.
    "implicit_select": "0",
    "allow_introspection_functions": "0",
}
_GRACE_S = 3
_PURGE_EVERY_S = 2.0
_KEEP_EVERY_S = 5.0
_LOOK_EVERY_S = 1.0
_ANSWER_S = 0.1  # for sending the answer of the statement that met the failed write
WRITES_FAILED = 75  # the exit status after a failed write


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an engine. `listen` is HOST:PORT, port 0 takes a free one; sizes in bytes; `generations_fd` is the
    memory in which writes are counted for readers in other processes."""

    path: Path
    secret: str
    listen: str = "127.0.0.1:0"
    ready_file: Path | None = None
    sessions: int = 8
    queue: int = 64
    max_memory: int = 1 << 30
    end_with_parent: bool = True
    generations_fd: int | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an engine until a signal ends it; returns the exit status 1, or ends the process with status 0."""
    telemetry.configure_logging("store", "info")
    try:
        run_engine(_options(arguments))
    except StartupError as error:
        _log.error(error.message)
        return 1
    logging.shutdown()
    # Not sys.exit: it would wait for a query that did not heed its cancellation. Acknowledged writes are synced.
    os._exit(0)


def run_engine(options: EngineOptions, beat: Callable[[], None] = lambda: None) -> None:
    """Run an engine in this process until SIGTERM or SIGINT. Call it from the main thread, once. Raises StartupError.

    The event loop calls `beat` about once a second, as long as it handles requests. Afterwards end the process with
    `os._exit`: a query that did not heed its cancellation may still hold a thread.
    """
    parent = os.getppid()
    if not options.secret:
        raise StartupError("TIDEMILL_STORE_SECRET is not set; give the engine the secret that its clients will use")
    options.path.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(options.path, "engine.lock")
    try:
        with _listener(options.listen) as listener:
            asyncio.run(_serve(options, listener, parent, beat))
    finally:
        lock.release()
    _log.info("stopped")


async def _serve(options: EngineOptions, listener: socket.socket, parent: int, beat: Callable[[], None]) -> None:
    spool = options.path / "spool"
    spool.mkdir(exist_ok=True)
    metadata.restore_metadata(options.path)
    part_files.restore_part_files(options.path)
    pool = SessionPool(options.path / "chdb", options.sessions, options.max_memory, options.generations_fd)
    _report_detached(pool)
    config = EngineConfig(
        user="tidemill",
        secret=options.secret,
        spool_dir=str(spool),
        defaults=DEFAULT_SETTINGS,
        sessions=options.sessions,
        queue=options.queue,
    )
    app = EngineApp(pool, config)
    server = _server(app)
    # uvicorn raises the signal again after it has ended; the signal has had its effect by then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    helpers = [
        asyncio.ensure_future(_announce(server, listener, options.ready_file)),
        asyncio.ensure_future(_purge_when_idle(pool, app)),
        asyncio.ensure_future(_keep_beating(beat)),
        asyncio.ensure_future(_keep_copies(options.path)),
        asyncio.ensure_future(_cancel_when_stopping(server, app)),
        asyncio.ensure_future(_end_when_writes_fail(pool)),
    ]
    if options.end_with_parent:
        helpers.append(asyncio.ensure_future(_end_with_parent(server, parent)))
    await server.serve(sockets=[listener])
    for helper in helpers:
        helper.cancel()
    await asyncio.to_thread(pool.close)
    await asyncio.to_thread(_copy, options.path)


def _server(app: EngineApp) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_S,
    )
    # app.py ends some answers without completing them on purpose: that is no fault to be logged.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "without completing" not in record.getMessage())
    return uvicorn.Server(config)


async def _announce(server: uvicorn.Server, listener: socket.socket, ready_file: Path | None) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    port = listener.getsockname()[1]
    _log.info("listening", extra={"facts": {"port": port, "pid": os.getpid()}})
    if ready_file:
        draft = ready_file.with_name(ready_file.name + ".new")
        draft.write_text(json.dumps({"port": port, "pid": os.getpid()}))
        draft.replace(ready_file)


async def _keep_beating(beat: Callable[[], None]) -> None:
    while True:
        beat()
        await asyncio.sleep(1.0)


async def _keep_copies(path: Path) -> None:
    while True:
        await asyncio.to_thread(_copy, path)
        await asyncio.sleep(_KEEP_EVERY_S)


def _copy(path: Path) -> None:
    for keep in (metadata.copy_metadata, part_files.record_digests):
        with suppress(OSError):
            keep(path)


async def _end_with_parent(server: uvicorn.Server, parent: int) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    _log.warning("the parent process has ended; stopping")
    server.should_exit = True


async def _cancel_when_stopping(server: uvicorn.Server, app: EngineApp) -> None:
    """After a signal refuse new queries at once, and cancel reads that still run after a second."""
    while not server.should_exit:
        await asyncio.sleep(0.1)
    app.stopping = True
    await asyncio.sleep(1.0)
    await app.kill_reads()


async def _end_when_writes_fail(pool: SessionPool) -> None:
    """End the process at once after a failed write, also of a merge; the supervisor starts it again."""
    checked = time.monotonic()
    while not pool.writes.failed.is_set():
        await asyncio.sleep(_ANSWER_S)
        if time.monotonic() > checked + _LOOK_EVERY_S:
            checked = time.monotonic()
            with suppress(EngineError):
                await asyncio.to_thread(pool.writes.raise_if_failed)
                await asyncio.to_thread(pool.generations.settle)
    _log.error("a write to the disk failed: ending, to find at the next start which parts it hurt")
    await asyncio.sleep(_ANSWER_S)
    logging.shutdown()
    os._exit(WRITES_FAILED)


async def _purge_when_idle(pool: SessionPool, app: EngineApp) -> None:
    """Give memory back after work (5 ms a time): the allocator alone keeps hundreds of megabytes after a large read."""
    purged = time.monotonic()
    while True:
        await asyncio.sleep(_PURGE_EVERY_S)
        if app.last_used > purged:
            purged = time.monotonic()
            await asyncio.to_thread(pool.control, "SYSTEM JEMALLOC PURGE")


def _report_detached(pool: SessionPool) -> None:
    count = int(pool.control("SELECT count() FROM system.detached_parts"))
    if count:
        _log.warning("the store has detached parts, which no query reads", extra={"facts": {"parts": count}})


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The head and the body of an answer are two writes: without this the second waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # the supervisor holds the same port
        listener.bind((host.strip("[]"), int(port)))
        listener.listen(1024)
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        raise StartupError(f"Cannot listen on {address!r}: {error}; give HOST:PORT, port 0 for a free one") from None
    return listener


def _options(arguments: Sequence[str] | None) -> EngineOptions:
    parser = argparse.ArgumentParser(prog="tidemill.store.engine", description="The embedded store of Tidemill.")
    parser.add_argument("--path", type=Path, required=True, help="folder of the store; made if missing")
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT; port 0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help='receives {"port", "pid"} once queries are answered')
    parser.add_argument("--sessions", type=int, default=8, help="queries that run at once")
    parser.add_argument("--queue", type=int, default=64, help="queries that may wait for a session")
    parser.add_argument("--max-memory", type=int, default=1 << 30, help="bytes that all queries may use together")
    parser.add_argument("--generations-fd", type=int, help="memory in which writes are counted for other processes")
    parser.add_argument("--secret-stdin", action="store_true", help="read the clients' secret from standard input")
    given = vars(parser.parse_args(arguments))
    # Removed from the environment, so that no child and no crash report carries it.
    secret = os.environ.pop("TIDEMILL_STORE_SECRET", "")
    if given.pop("secret_stdin"):
        secret = sys.stdin.read()
    return EngineOptions(secret=secret, **given)
