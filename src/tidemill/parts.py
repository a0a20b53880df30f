"""Runs one part of an installation in the foreground: `tidemill store`, `mill`, `api` or `worker`.

The parts of one machine share a data folder, and whoever starts them watches over them. What `tidemill serve` hands
from process to process, they keep in the folder: ports and secrets in `run/parts.json` (for its user alone), the pipe
that wakes the worker, and the memory in which the store counts its writes. A part may start before the others, and
waits for them. With `TIDEMILL_STORE` the store is at a URL.
"""

import logging
import os
import secrets
import socket
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from tidemill import telemetry
from tidemill.durable import replace_file
from tidemill.errors import StartupError
from tidemill.lifeline import Lifeline
from tidemill.lock import SharedFolderLock, note_served_url, waiting_lock
from tidemill.log.shared_log import settle_shared_log
from tidemill.service import ROLES
from tidemill.settings import Runtime, Settings
from tidemill.start import decide_access, make_folder, open_listener, prepare_folder
from tidemill.store.generations import memory_file

log = logging.getLogger(__name__)

PARTS: Final = ("store", "mill", "api", "worker")
_FORM: Final = "http://tidemill:PASSWORD@HOST:PORT/DATABASE"


class Meeting(msgspec.Struct, frozen=True):
    """How the parts of a data folder reach each other on loopback: the API's internal intake, and the store."""

    intake_port: int
    intake_secret: str
    store_port: int
    store_secret: str


class StoreUrl(msgspec.Struct, frozen=True):
    """The setting `store`, taken apart."""

    host: str
    port: int
    user: str
    password: str
    database: str


def read_store_url(settings: Settings) -> StoreUrl | None:
    """The setting `store` with the password of its file, if there is one; null where it is not set. Raises
    StartupError that says what is wrong, without the password."""
    if not settings.store:
        return None
    try:
        url = urlsplit(settings.store)
        host, port = url.hostname or "", url.port or 8123
    except ValueError as error:
        raise StartupError(f"TIDEMILL_STORE must be {_FORM}: {error}") from None
    if url.scheme != "http" or not host or url.query or url.fragment or "/" in url.path.strip("/"):
        raise StartupError(f"TIDEMILL_STORE must be {_FORM}, with http, a host and at most a database behind it")
    password = unquote(url.password or "")
    if settings.store_password_file:
        try:
            with open(settings.store_password_file, encoding="utf-8") as file:  # noqa: PTH123 - a path as it was given
                password = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StartupError(
                f"Cannot read TIDEMILL_STORE_PASSWORD_FILE '{settings.store_password_file}': {error}"
            ) from None
    if not password:
        raise StartupError("TIDEMILL_STORE has no password: put it into the URL or TIDEMILL_STORE_PASSWORD_FILE")
    return StoreUrl(host, port, unquote(url.username or "tidemill"), password, url.path.strip("/") or "tidemill")


def run_part(role: str, settings: Settings) -> None:
    """Run one of PARTS until SIGTERM or SIGINT, then end the process. Raises StartupError that says what to do."""
    store = read_store_url(settings)
    folder = settings.folder
    os.umask(0o077)
    make_folder(folder / "run")
    lock = SharedFolderLock(folder, "serve.lock", lambda: prepare_folder(settings))
    try:
        settle_shared_log(folder, settings.log)  # also where another part has prepared the folder
        ROLES[role](_runtime(role, settings, store), Lifeline(-1))
    finally:
        lock.release()
    logging.shutdown()
    os._exit(0)  # not sys.exit: see `service.main`


def _runtime(role: str, settings: Settings, store: StoreUrl | None) -> Runtime:
    meeting = _meeting(settings)
    runtime = Runtime(
        settings=settings,
        intake_secret=meeting.intake_secret,
        store_secret=store.password if store else meeting.store_secret,
        store_port=store.port if store else meeting.store_port,
        internal_port=meeting.intake_port,
        alone=True,
    )
    if store is not None:
        if role == "store" and store.user != "tidemill":
            raise StartupError(f"The user of `tidemill store` is tidemill, not '{store.user}': TIDEMILL_STORE={_FORM}")
        runtime = msgspec.structs.replace(
            runtime, store_host=store.host, store_user=store.user, store_database=store.database
        )
    elif role in ("store", "api"):
        runtime = msgspec.structs.replace(runtime, generations_fd=memory_file(settings.folder / "run" / "generations"))
    if role in ("api", "worker"):
        runtime = msgspec.structs.replace(runtime, wake_fds=_open_wake(settings))
    return _listening(runtime, settings) if role == "api" else runtime


def _listening(runtime: Runtime, settings: Settings) -> Runtime:
    """The runtime of an API, with its listeners open."""
    open_access = decide_access(settings)
    public = open_listener(settings.host, settings.port)
    advice = (
        f"Another program has the port that {settings.folder}/run/parts.json names: end all parts, remove the file."
    )
    internal = open_listener("127.0.0.1", runtime.internal_port, advice, shared=True)
    host, port = public.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    note_served_url(settings.folder, url)
    return msgspec.structs.replace(
        runtime, listen_fd=public.detach(), internal_fd=internal.detach(), open_access=open_access, url=url
    )


def _meeting(settings: Settings) -> Meeting:
    """What the folder's parts have agreed on; the first part that starts makes it. Raises StartupError."""
    path = settings.folder / "run" / "parts.json"
    with waiting_lock(settings.folder / "run", "parts.lock"):
        try:
            return msgspec.json.decode(path.read_bytes(), type=Meeting)
        except FileNotFoundError:
            ports = _free_ports(2)
            meeting = Meeting(ports[0], secrets.token_urlsafe(32), ports[1], secrets.token_urlsafe(32))
            replace_file(path, msgspec.json.encode(meeting))
            return meeting
        except (OSError, msgspec.DecodeError) as error:
            raise StartupError(f"Cannot read {path}: {error}. End all parts and remove the file.") from None


def _free_ports(count: int) -> list[int]:
    """Loopback ports that are free now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _open_wake(settings: Settings) -> tuple[int, int]:
    """Both ends of a named pipe, by which an API wakes the worker; opened for both so that neither waits."""
    path = settings.folder / "run" / "wake"
    if not path.is_fifo():
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK), os.open(path, os.O_RDWR | os.O_NONBLOCK)


def start_part(role: str, settings: Settings) -> None:
    """Configure the log of this process, and run a part of PARTS until it is told to end. Raises StartupError."""
    telemetry.configure_logging(role, settings.log_level, settings.log_format)
    log.info("starting alone", extra={"facts": {"part": role, "pid": os.getpid(), "data": str(settings.folder)}})
    run_part(role, settings)
