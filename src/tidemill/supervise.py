"""`tidemill serve`: starts store, mill and api, and a worker when there are jobs; supervises them, and ends them.

The supervisor owns everything that must outlive a restart of a process: the listening sockets (a connection made while
`api` restarts waits instead of being refused), the hint sockets, the pipe that wakes the worker, the memory in which
writes are counted, the secrets and the store's port. A process that exits, or is silent, is started again: at once,
and with growing pauses if it keeps failing. The supervisor holds no data.
"""

import contextlib
import logging
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tidemill.lock import FolderLock, note_served_url
from tidemill.settings import Runtime, Settings
from tidemill.start import decide_access, make_folder, open_listener, prepare_folder
from tidemill.store.generations import shared_memory
from tidemill.wake import WakePipe

log = logging.getLogger(__name__)

STOP_S: Final = 9.0  # SIGTERM ends everything within 10 s
PATIENCE: Final = 3  # quick deaths in a row after which a process is restarted without a pause
STARTING: Final = 10  # a start may take this many times the silence that is allowed later (a large store loads)
STEADY_S: Final = 5.0  # a process that ran this long has recovered
MAX_PAUSE_S: Final = 5.0
STAND_INS: Final = {  # the demonstration's servers: the variable with the URL that a recipe polls, and its path
    "telemetry": ("TIDEMILL_TELEMETRY_URL", "/"),
    "meters": ("TIDEMILL_METERS_URL", "/meterdata/measurement"),
}
_FEW_THREADS: Final = {
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "2",
    "PYTHONUNBUFFERED": "1",
}


ENDING_BY_THEMSELVES: Final = ("demo", "worker")  # with status 0, when they have no more work


@dataclass
class Part:
    """One supervised process and its state. `restart_at` null: it runs, or it is not needed."""

    role: str
    process: subprocess.Popen[bytes] | None = None
    lifeline: socket.socket | None = None
    started: float = 0.0
    last_beat: float | None = None  # the time of the last beat; null: it is still starting
    quick_deaths: int = 0
    restart_at: float | None = 0.0
    restarts: int = 0
    pass_fds: tuple[int, ...] = field(default=())


class Supervisor:
    """Runs the processes of one data folder until SIGTERM or SIGINT. One instance a process; not reentrant."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._parts: dict[str, Part] = {}
        self._sockets: list[socket.socket] = []
        self._wake: WakePipe | None = None
        self._generations = -1
        self._lock: FolderLock | None = None
        self._stand_in_urls: dict[str, str] = {}
        self.open_access = False

    @property
    def url(self) -> str:
        """The URL of the public listener, with its real port where the settings have port 0."""
        host, port = self._sockets[0].getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def prepare(self) -> None:
        """Lock the folder, decide about access, open the sockets. Raises StartupError that says what to do."""
        folder = self._settings.folder
        os.umask(0o077)  # the data and the hashes of keys are for this user alone
        make_folder(folder / "run")
        self._lock = FolderLock(folder, "serve.lock")
        prepare_folder(self._settings)
        self.open_access = decide_access(self._settings)
        public = open_listener(self._settings.host, self._settings.port)
        internal = open_listener("127.0.0.1", 0)
        reserved = _reserve_port()
        for_api, for_mill = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._wake = WakePipe.new()
        self._generations = shared_memory()
        self._sockets = [public, internal, for_api, for_mill, reserved]
        note_served_url(folder, self.url)
        self._runtime = Runtime(
            settings=self._settings,
            intake_secret=secrets.token_urlsafe(32),
            store_secret=secrets.token_urlsafe(32),
            store_port=reserved.getsockname()[1],
            internal_port=internal.getsockname()[1],
            listen_fd=public.fileno(),
            internal_fd=internal.fileno(),
            wake_fds=self._wake.fds,
            generations_fd=self._generations,
            open_access=self.open_access,
            url=self.url,
        )
        self._hint_fds = {"api": for_api.fileno(), "mill": for_mill.fileno()}
        api_fds = (public.fileno(), internal.fileno(), for_api.fileno(), self._generations, *self._wake.fds)
        self._parts = {
            "store": Part("store", pass_fds=(self._generations,)),
            "mill": Part("mill", pass_fds=(for_mill.fileno(),)),
            "api": Part("api", pass_fds=api_fds),
            "worker": Part("worker", pass_fds=self._wake.fds, restart_at=None),
        }
        if self._settings.demo:
            self._prepare_demo()

    def _prepare_demo(self) -> None:
        """Open a port for each server of the demonstration whose recipe has no URL configured."""
        listeners = {
            name: open_listener("127.0.0.1", 0) for name, (variable, _) in STAND_INS.items() if not _set(variable)
        }
        self._sockets += listeners.values()
        for name, listener in listeners.items():
            variable, path = STAND_INS[name]
            self._stand_in_urls[variable] = f"http://127.0.0.1:{listener.getsockname()[1]}{path}"
        fds = {name: listener.fileno() for name, listener in listeners.items()}
        self._runtime = msgspec.structs.replace(self._runtime, stand_ins=tuple(fds.items()))
        self._parts["demo"] = Part("demo", pass_fds=tuple(fds.values()))

    def supervise(self) -> None:
        """Keep all processes running until SIGTERM or SIGINT, then end them, within 10 s and the time to drain."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._end()

    def _ask_to_stop(self, number: int, _frame: object) -> None:
        self._stopping = True

    def _turn(self) -> None:
        now = time.monotonic()
        worker = self._parts["worker"]
        if worker.process is None and worker.restart_at is None and self._wake is not None and self._wake.is_woken():
            worker.restart_at = now
        for part in self._parts.values():
            if part.process is None and part.restart_at is not None and now >= part.restart_at:
                self._start(part)
        for key, _ in self._selector.select(timeout=0.1):
            self._hear(key.data)
        for part in self._parts.values():
            self._look_after(part)

    def _start(self, part: Part) -> None:
        ours, theirs = socket.socketpair()
        runtime = msgspec.structs.replace(self._runtime, hint_fd=self._hint_fds.get(part.role, -1))
        if part.role == "demo":  # a client without secrets
            runtime = msgspec.structs.replace(runtime, intake_secret="", store_secret="")
        try:
            part.process = subprocess.Popen(
                [sys.executable, "-m", "tidemill.service", part.role, str(theirs.fileno())],
                env=_FEW_THREADS | os.environ | self._stand_in_urls,
                pass_fds=(theirs.fileno(), *part.pass_fds),
                stdin=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends the others in order
            )
            _hand_over(part.process, runtime)
        except OSError as error:  # no memory, too many processes: the running parts go on
            log.error("cannot be started now", extra={"facts": {"part": part.role, "error": str(error)}})
            ours.close()
            part.restart_at = time.monotonic() + MAX_PAUSE_S
            return
        finally:
            theirs.close()
        ours.setblocking(False)
        part.lifeline = ours
        part.started, part.last_beat = time.monotonic(), None
        part.restart_at = None
        self._selector.register(ours, selectors.EVENT_READ, part)
        log.info("started", extra={"facts": {"part": part.role, "pid": part.process.pid, "restarts": part.restarts}})

    def _hear(self, part: Part) -> None:
        assert part.lifeline is not None
        try:
            beats = part.lifeline.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            beats = b""
        if beats:
            part.last_beat = time.monotonic()
        else:
            self._selector.unregister(part.lifeline)  # the process has ended, or is about to

    def _look_after(self, part: Part) -> None:
        process = part.process
        if process is None:
            return
        silent_s = time.monotonic() - (part.last_beat or part.started)
        allowed_s = self._settings.silence * (1 if part.last_beat else STARTING)
        if process.poll() is None and silent_s > allowed_s:
            log.error("silent: killed", extra={"facts": {"part": part.role, "silent_s": round(silent_s)}})
            process.kill()
            process.wait()
        if process.poll() is None:
            return
        self._close_lifeline(part)
        if process.returncode == 0 and part.role in ENDING_BY_THEMSELVES:
            return
        uptime = time.monotonic() - part.started
        part.quick_deaths = 0 if uptime > STEADY_S else part.quick_deaths + 1
        pause = _pause_s(part.quick_deaths)
        part.restart_at = time.monotonic() + pause
        part.restarts += 1
        facts = {"part": part.role, "status": process.returncode, "uptime_s": round(uptime, 1), "pause_s": pause}
        log.warning("ended unasked: starting it again", extra={"facts": facts})

    def _close_lifeline(self, part: Part) -> None:
        part.process = None
        if part.lifeline is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(part.lifeline)
            part.lifeline.close()
            part.lifeline = None

    def _end(self) -> None:
        """End the writers first and the store last; a process that does not end in time is killed."""
        drain_s = self._settings.drain
        began = time.monotonic()
        for roles, by in ((("demo",), 1.5), (("api", "mill", "worker"), 6.5 + drain_s), (("store",), STOP_S + drain_s)):
            processes = [p.process for r in roles if (p := self._parts.get(r)) and p.process is not None]
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(max(0.05, began + by - time.monotonic()))
                except subprocess.TimeoutExpired:
                    log.warning("did not end in time: killed", extra={"facts": {"pid": process.pid}})
                    process.kill()
                    process.wait()
        for each in self._sockets:
            each.close()
        if self._wake is not None:
            self._wake.close()
        if self._generations >= 0:
            os.close(self._generations)
        if self._lock is not None:
            self._lock.release()


def _pause_s(quick_deaths: int) -> float:
    """Seconds to wait before a part is started again: 0 at first, then 0.2 s doubling up to MAX_PAUSE_S."""
    over = min(quick_deaths - PATIENCE, 10)  # bounded before the power: a crash loop may last for days
    return min(MAX_PAUSE_S, 0.1 * 2**over) if over > 0 else 0.0


def _set(variable: str) -> bool:
    """Whether the operator set this environment variable."""
    return bool(os.environ.get(variable))


def _hand_over(process: "subprocess.Popen[bytes]", runtime: Runtime) -> None:
    """Write the Runtime to the standard input of a process; it fits into the pipe, so this does not wait."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # the process ended: `_look_after` handles that
        pipe.write(msgspec.json.encode(runtime))


def _reserve_port() -> socket.socket:
    """A socket that reserves a loopback port for the store and never listens: while the store is down a connection is
    refused at once, and no other process can take the port (and read the clients' password)."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", 0))
    return holder
