"""What comes before the first process of a data folder: make and check the folder, decide about access, open listeners.

`tidemill serve` does it for all of its processes, and a part that runs alone (`parts.py`) for itself.
"""

import logging
import os
import socket

from tidemill.catalog.keys import KeyRing
from tidemill.catalog.opening import open_catalog, repair_catalog_tails
from tidemill.data_folder import check_folder, mark_closed
from tidemill.errors import StartupError
from tidemill.log.opening import log_files
from tidemill.log.partitions import settle_partitions
from tidemill.log.shared_log import settle_shared_log
from tidemill.settings import Settings

log = logging.getLogger(__name__)


def make_folder(folder: os.PathLike[str]) -> None:
    """Make a folder and its parents, for this user alone, if it is missing. Raises StartupError."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - mode for the parents as well
    except OSError as error:
        raise StartupError(f"Cannot make the data folder '{folder}': {error.strerror}") from error


def prepare_folder(settings: Settings) -> None:
    """Settle the number of partitions, repair damaged WAL tails of the log and the catalog, and check the folder.

    Call it before anything in the folder is opened, because SQLite drops what is behind the damage. Raises
    StartupError.
    """
    folder = settings.folder
    settle_shared_log(folder, settings.log)
    settle_partitions(folder, settings.partitions)
    for path in (*log_files(folder, settings.partitions).repair_tails(), *repair_catalog_tails(folder)):
        log.error("it was damaged, and is read to its end again", extra={"facts": {"file": str(path)}})
    check_folder(folder)


def decide_access(settings: Settings) -> bool:
    """Whether requests need no key: no key was ever made, and only this machine reaches the listener. Raises
    StartupError for a listener that others reach while there is no key."""
    catalog = open_catalog(settings.folder)
    try:
        ever_keys = KeyRing(catalog).ever_keys()
    finally:
        catalog.close()
    if ever_keys:
        mark_closed(settings.folder)
        return False
    if settings.on_loopback:
        return True
    raise StartupError(
        f"Refusing to serve on {settings.listen} without a key: anyone could read and write.\n"
        f"Create one first:  tidemill key create --data {settings.data} --tenant default "
        "--scope read,write,admin\nor serve on 127.0.0.1 only."
    )


def open_listener(
    host: str, port: int, advice: str = "Choose another with --listen.", *, shared: bool = False
) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. `shared`: with other processes of this user that say the same.
    Raises StartupError that ends with `advice`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(4096)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise StartupError(f"Cannot listen on {host}:{port}: {reason}. {advice}") from error
    return listener
