"""A store that answers 200 and keeps nothing is found out within a minute; once it is honest, everything is there."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.test_processes import fix
from tests.mill.house import House
from tests.mill.verifying import prove
from tests.support.engine import running_engine
from tests.support.lying import lying_store
from tidemill.model.offset import ONLY
from tidemill.store.migrate import migrate


def until(true: Callable[[], bool], seconds: float) -> float:
    """Wait until it is so; how long that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() < began + seconds
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.timeout(400)
def test_a_store_that_keeps_nothing_is_found_out_and_what_it_lacks_is_applied_again(tmp_path: Path) -> None:
    """First only points are swallowed, then everything; then it is honest."""
    with running_engine(tmp_path / "engine", database="tidemill") as engine, lying_store(engine) as (address, liar):
        migrate(engine)
        house = House(tmp_path / "house", address, "tenant", clock=time.time_ns, partition=ONLY)
        stop = threading.Event()

        def sent() -> None:
            second = 0
            while not stop.wait(0.05):
                house.send("location", fix("a", second), received_ns=time.time_ns())
                second += 1

        threads = [threading.Thread(target=sent), threading.Thread(target=house.mill.run_until, args=(stop,))]
        for thread in threads:
            thread.start()
        status = house.mill.status
        try:
            until(lambda: status.applied_offset > 20, 60)
            for table in ("points", "*"):
                liar.table = table
                before = liar.swallowed
                until(lambda before=before: liar.swallowed > before + 10, 60)  # type: ignore[misc]
            found_s = until(lambda: status.returns > 0, 60)
            assert "the store lacks what it had answered for" in status.last_error
            assert status.confirmed < house.log.last_seq()
            liar.table = ""
            honest_from = status.confirmed
            until(lambda: status.confirmed > honest_from, 60)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert found_s < 60
        house.new_mill()
        house.work()
        house.new_mill()  # looks at once
        house.work()
        assert house.mill.status.confirmed == house.log.last_seq()
        report = prove(house)
        assert report.totals.accepted == house.log.last_seq()
        house.close()
