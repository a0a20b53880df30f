"""Every acknowledgement comes after the sync that covers it: shown in what the process asks of the system."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx

from tests.faults.system_calls import acknowledged_before_a_sync, calls, command, may_trace, traced
from tests.faults.test_processes import fix
from tests.support.server import running_server

WAL = "log.sqlite-wal"
SENDERS, REQUESTS = 4, 15


def test_answers_over_http_come_after_the_sync_that_covers_them(tmp_path: Path) -> None:
    may_trace(tmp_path)
    receipts: list[str] = []

    def send(url: str, sender: int) -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            for n in range(REQUESTS):
                row = {"time_stamp": f"2019-05-01T06:{sender:02d}:{n:02d}Z", "data": [1, 2]}
                for answer in (
                    client.put("/location", json=fix(f"sender-{sender}", n)),
                    client.post("/v1/feeds/dropzone", json=row),
                ):
                    assert answer.status_code in (200, 202)
                    receipts.append(answer.json()["id"])

    with running_server(tmp_path / "data") as server, traced(server.part("api").pid, tmp_path / "record"):
        threads = [threading.Thread(target=send, args=(server.url, sender)) for sender in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    record = calls((tmp_path / "record").read_text().splitlines())
    assert len(set(receipts)) == SENDERS * REQUESTS * 2
    assert acknowledged_before_a_sync(record, receipts, WAL) == []


def test_a_new_log_and_its_mark_are_durable_before_anything_is_acknowledged(tmp_path: Path) -> None:
    may_trace(tmp_path)
    data = tmp_path / "log"
    child = subprocess.run(
        [*command(tmp_path / "record"), sys.executable, "-m", "tests.faults.log_child", str(data), "4"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TIDEMILL_CRASH_AT": "log.after_commit:40"},
        timeout=120,
        check=False,
    )
    assert child.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    receipts = [line.split()[1] for line in child.stdout.decode().split("\n")[:-1]]
    record = calls((tmp_path / "record").read_text().splitlines())
    assert len(receipts) > 30
    assert acknowledged_before_a_sync(record, receipts, WAL) == []
    first = next(call.began for call in record if call.name == "write" and receipts[0] in call.text)
    ends = {what: next(call.ended for call in record if call.name == name and what in call.text) for name, what in (
        ("fsync", "log.high-water.new>"), ("rename", "log.high-water.new"), ("fsync", f"{data}>"),
    )}  # fmt: skip
    assert list(ends.values()) == sorted(ends.values()), "the bytes, the name, the folder"
    assert max(ends.values()) < first


GOOD = """\
7 pwrite64(9</d/log.sqlite-wal>, "aaa bbb", 7, 0) = 7
7 fdatasync(9</d/log.sqlite-wal> <unfinished ...>
8 sendto(12<socket:[5]>, "unrelated", 9, 0, NULL, 0) = 9
7 <... fdatasync resumed>) = 0
8 sendto(12<socket:[5]>, "aaa bbb", 7, 0, NULL, 0) = 7
""".splitlines()


def test_an_acknowledgement_that_comes_too_early_is_seen() -> None:
    def wrong(lines: list[str]) -> list[str]:
        return acknowledged_before_a_sync(calls(lines), ["aaa", "bbb"], WAL)

    assert wrong(GOOD) == []
    assert wrong([*GOOD[:2], GOOD[4], GOOD[3]]) == ["aaa", "bbb"], "answered while the sync went on"
    assert wrong([GOOD[1], GOOD[0], GOOD[3], GOOD[4]]) == ["aaa", "bbb"], "written while the sync went on"
    assert wrong([GOOD[0], GOOD[4]]) == ["aaa", "bbb"], "no sync"
    assert wrong([*GOOD[:3], "7 <... fdatasync resumed>) = -1 EIO (Input/output error)", GOOD[4]]) == ["aaa", "bbb"]
    assert wrong([line.replace("log.sqlite-wal", "log.sqlite") if "fdata" in line else line for line in GOOD]) == [
        "aaa", "bbb",
    ], "another file"  # fmt: skip
    assert wrong([GOOD[0].replace("bbb", "ccc"), *GOOD[1:]]) == ["bbb"], "never written"
