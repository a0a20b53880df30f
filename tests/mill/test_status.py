"""What the mill says of itself: its last error with its time, and whether it went on since."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mill.house import NOW_NS, House
from tests.mill.test_worker import fix
from tidemill.errors import StoreUnavailableError
from tidemill.hints import Hints
from tidemill.log.sqlite import SqliteLogReader
from tidemill.mill.parts import MillParts
from tidemill.mill.state_files import FileMillState
from tidemill.mill.worker import Mill
from tidemill.store.client import Store


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def running(mill: Mill) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=mill.run_until, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def test_an_error_is_shown_with_its_time_and_marked_once_the_mill_went_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Store, table: str, frame: object) -> None:
        raise StoreUnavailableError("gone for a moment")

    status = house.mill.status
    assert (status.last_error, status.recovered) == ("", True)
    house.send("location", fix(1))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "insert", away)
        with running(house.mill):
            wait_for(lambda: status.retries > 0)
            assert not status.recovered
            patch.undo()
            wait_for(lambda: house.applied == 1 and status.recovered)
    assert "gone for a moment" in status.last_error
    assert status.last_error_at_ns == NOW_NS


def test_a_log_that_is_not_there_yet_is_no_error_at_the_start(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = SqliteLogReader(tmp_path / "no log yet")
    mill = Mill(
        MillParts(
            reader, house.store, house.book, FileMillState(tmp_path / "new"), Hints.pair()[1], work=tmp_path / "work"
        )
    )
    with running(mill):
        wait_for(lambda: mill.status.state == "waiting_for_log")
        time.sleep(0.3)
        assert (mill.status.last_error, mill.status.retries, mill.status.recovered) == ("", 0, True)
        monkeypatch.setattr("tidemill.mill.worker._QUIET_S", 0.0)
        wait_for(lambda: not mill.status.recovered and "no log yet" in mill.status.last_error)
