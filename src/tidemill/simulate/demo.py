"""Demo traffic through all five feeds of a new installation: the two servers that it polls, and phones, machines and
files that send to it. Runs until SIGTERM or SIGINT; repeats requests that a restarting server refused.
"""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from tidemill.errors import AccessError
from tidemill.model.time import NS_PER_S, format_instant
from tidemill.simulate import data_server, files, machines, meters, phones
from tidemill.simulate.server import running
from tidemill.simulate.summary import Summary

log = logging.getLogger(__name__)

_PATIENCE_S = 3600.0


def run_demo_traffic(url: str, listeners: Mapping[str, socket.socket], key: str = "") -> None:
    """Serves and sends until a signal. `listeners`: the sockets on which to serve `telemetry` and `meters`; one without
    a socket is not served. `key`: an API key with the scopes read and write, where keys are required."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    now_ns = time.time_ns() // NS_PER_S * NS_PER_S
    # A walk has a fix about every 11 s, so that at this rate the eight phones send in real time.
    phone = phones.PhonesOptions(
        url=url, key=key, count=0, rate=0.85, patience_s=_PATIENCE_S, seed=now_ns % 997, start=format_instant(now_ns)
    )
    machine = machines.MachinesOptions(url=url, key=key, count=0, rate=0.1, patience_s=_PATIENCE_S, keep=50)
    # After the file in `examples`: its row, which a reader of the README sends, comes first and is not replaced.
    file = files.FilesOptions(url=url, key=key, count=0, rate=0.5, patience_s=_PATIENCE_S, start="2026-02-01T00:00:00Z")
    with ExitStack() as servers:
        telemetry = data_server.DataServer(data_server.DataServerOptions(rate=5, faults="500=0.002,slow=0.002"))
        for name, app in (("telemetry", telemetry), ("meters", meters.MeterServer(meters.MetersOptions()))):
            if name in listeners:
                servers.enter_context(running(app, listener=listeners[name]))
        for run, options in ((phones.run_phones, phone), (machines.run_machines, machine), (files.run_files, file)):
            threading.Thread(target=_send, args=(run, options), daemon=True).start()
        ended.wait()


def _send(run: Callable[[Any], Summary], options: Any) -> None:
    try:
        log.info(run(options).text())
    except AccessError:
        log.warning("the demonstration sends nothing more: every request needs a key now")
    except Exception:
        log.exception("a simulator ended; the others go on")
