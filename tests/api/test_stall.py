"""A mill that applies nothing though something waits is noticed, named and logged once."""

import logging
import time
from pathlib import Path

import pytest

from tests.api.samples import fix
from tests.support.api import running_api
from tidemill.api.stall import STALLED_S, TRIM_HELD_S, StallWatch, TrimWatch
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state_files import FileMillState
from tidemill.mill.status import MillStatus


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_stall_is_named_and_logged_once_and_its_end_as_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    watch = StallWatch(clock)
    held = MillStatus(state="waiting_for_store", last_error="payload 8: refused (code 241)", recovered=False)
    assert watch.observe(7, 7, held, silent=False).seconds == 0
    clock.now += 3600
    watch.observe(7, 9, held, silent=False)
    clock.now += STALLED_S - 1
    assert watch.observe(7, 9, held, silent=False).why == ""
    clock.now += 1
    for _ in range(3):
        stall = watch.observe(7, 12, held, silent=False)
    assert stall.why == (
        "5 entries of the log wait, from offset 8 on; the mill is waiting for store; its last error: "
        "payload 8: refused (code 241)"
    )
    assert "says nothing" in watch.observe(7, 12, held, silent=True).why
    assert watch.observe(8, 12, held, silent=False).why == ""
    clock.now += STALLED_S
    idle = MillStatus(state="idle")
    assert watch.observe(8, 12, idle, silent=False).seconds == 0, "places at the end of the log may be empty"
    lines = [record.levelname for record in caplog.records if "the mill" in record.message]
    assert lines == ["ERROR", "INFO"]


def test_readyz_and_metrics_say_that_the_mill_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.api.stall.STALLED_S", 0.3)
    mill = FileMillState(tmp_path)
    with running_api(tmp_path) as api:
        assert api.client.get("/readyz").json()["degraded"] == []
        api.client.put("/location", json=fix())
        status = MillStatus(
            state="waiting_for_store", looped_at_ns=time.time_ns(), last_error="code 241", recovered=False
        )
        mill.beat(status)
        deadline = time.monotonic() + 60
        while not (state := api.client.get("/readyz").json())["degraded"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert api.client.get("/readyz").status_code == 200, "payloads can be acknowledged"
        assert "offset 1 on; the mill is waiting for store; its last error: code 241" in state["degraded"][0]
        assert state["mill"]["stalled_s"] >= 0.3
        assert "tidemill_mill_stalled 1" in api.client.get("/metrics").text
        mill.save_progress(PartitionProgress(1))
        while api.client.get("/readyz").json()["degraded"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "tidemill_mill_stalled 0" in api.client.get("/metrics").text


def test_a_log_that_is_not_confirmed_for_long_is_said_to_be_held_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    watch = TrimWatch(clock)
    status = MillStatus(state="idle", last_error="the store cannot be asked (code 241)", recovered=False)
    assert watch.observe(7, 7, status) == ""
    clock.now += 2 * TRIM_HELD_S
    assert watch.observe(7, 9, status) == "", "payloads wait to be confirmed since now"
    clock.now += TRIM_HELD_S - 1
    assert watch.observe(7, 20, status) == ""
    clock.now += 1
    for _ in range(3):
        held = watch.observe(7, 21, status)
    assert held == (
        "the log is not trimmed, and fills the disk in the end: for 900 s no count of the store has confirmed that it "
        "holds what is applied from offset 8 on; the mill's last error: the store cannot be asked (code 241)"
    )
    assert watch.observe(8, 21, status) == "", "it goes on"
    clock.now += TRIM_HELD_S
    assert watch.observe(21, 21, None) == "", "nothing waits"
    lines = [record.levelname for record in caplog.records if "trimmed" in record.message]
    assert lines == ["ERROR", "INFO"]


def test_readyz_says_that_trimming_is_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.api.stall.TRIM_HELD_S", 0.3)
    mill = FileMillState(tmp_path)
    mill.save_progress(PartitionProgress(1))
    with running_api(tmp_path) as api:
        api.client.put("/location", json=fix())
        deadline = time.monotonic() + 60
        while not (degraded := api.client.get("/readyz").json()["degraded"]):
            assert time.monotonic() < deadline
        assert "not trimmed" in degraded[0] and "from offset 1 on" in degraded[0]
        mill.save_confirmed(PartitionProgress(1))
        while api.client.get("/readyz").json()["degraded"]:
            assert time.monotonic() < deadline
