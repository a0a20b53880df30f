"""Beside a log that takes payloads all the while, its end is not short of anything."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.mill.house import House
from tidemill.log.sqlite import SqliteLogReader
from tidemill.mill.verify.log_check import LogCheck
from tidemill.mill.verify.report import Findings

Build = Callable[..., House]
RUNS = 200


@contextmanager
def under_load(house: House, pause_s: float = 0.0) -> Iterator[None]:
    """Payloads are appended, and applied by the mill, as fast as it goes; with a pause after each, if one is given."""
    stop = threading.Event()

    def send() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            body = f'{{"time_stamp": "2019-05-01T06:{number // 60 % 60:02}:{number % 60:02}Z", "data": [{number}, 2]}}'
            house.send("dropzone", body.encode())
            time.sleep(pause_s)

    def apply() -> None:
        while not stop.is_set():
            house.mill.apply_batch()

    threads = [threading.Thread(target=work) for work in (send, apply)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_the_end_of_the_log_is_read_after_what_it_is_held_against(build: Build) -> None:
    house = build()
    log = SqliteLogReader(house.folder / "log", quiet=True)
    with under_load(house):
        runs, deadline = 0, time.monotonic() + 60
        while runs < RUNS or house.log.last_seq() < 1_000:
            assert time.monotonic() < deadline
            runs, findings = runs + 1, Findings()
            LogCheck(log, house.store, house.state.progress()).check_log(0, findings, whole=False)
            assert findings.counts == {}
    log.close()
