"""A disk that fills up and is freed under load, over and over: every acknowledged payload is applied exactly once."""

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.test_processes import Sender
from tests.support.disks import KINDS, Filler, small_disk
from tests.support.proof import verify_report
from tests.support.rounds import rounds
from tests.support.server import Server, running_server

SIZE_MIB = 160
FULL_S, FREE_S = 1.5, 1.5
GUARD_OFF = {"TIDEMILL_MIN_FREE_BYTES": "0", "TIDEMILL_MIN_FREE_RATIO": "0"}
# With a guard of 40 MB the log stops while the store could go on; the filler leaves less than that.
GUARD_ON = {"TIDEMILL_MIN_FREE_BYTES": str(40 << 20), "TIDEMILL_MIN_FREE_RATIO": "0.05"}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "guard", "cycles"),
    [
        *((kind, GUARD_OFF, rounds(3, 50)) for kind in KINDS),
        ("tmpfs", GUARD_ON, rounds(1, 10)),
    ],
    ids=[*(f"{kind}-guard-off" for kind in KINDS), "tmpfs-guard-on"],
)
def test_cycles_of_a_full_disk_lose_and_double_nothing(
    tmp_path: Path, kind: str, guard: dict[str, str], cycles: int
) -> None:
    """Every third cycle the mill is stopped first, so that the disk fills over a backlog; then it works that off while
    the disk is full."""
    with small_disk(kind, tmp_path / kind, SIZE_MIB) as disk:
        filler = Filler(disk)
        with running_server(disk / "data", env=guard) as server:
            with Sender(server, "first") as first, Sender(server, "second") as second:
                for cycle in range(cycles):
                    _cycle(server, filler, cycle)
            filler.free()
            server.wait_ready(60)
            senders = (first, second)
            _settle(server, [receipt for sender in senders for receipt in sender.acknowledged])
            report = _proved(server)
            totals = report["totals"]
            acknowledged = sum(len(sender.acknowledged) for sender in senders)
            refused = sum(len(sender.refused) + sender.broken for sender in senders)
            figures = {"cycles": cycles, "acknowledged": acknowledged, "refused": refused, "totals": totals}
            print(f"{kind}: {json.dumps(figures)}")
            assert acknowledged > 0
            assert refused > 0, "the disk was never full"
            assert totals["rejected"] == 0
            assert acknowledged <= totals["accepted"] == totals["payloads"] <= acknowledged + refused
            assert totals["points"] == 4 * totals["accepted"], "each fix leaves four points, and leaves them once"


def _cycle(server: Server, filler: Filler, cycle: int) -> None:
    """Fill the disk to its last bytes, a few megabytes or what the store needs, and free it again."""
    mill = None
    if cycle % 3 == 2:
        with suppress(LookupError, psutil.Error):  # it may just be starting again
            mill = server.part("mill")
            mill.send_signal(signal.SIGSTOP)
            time.sleep(FULL_S)
    filler.fill(leave_bytes=(0, 1 << 20, 20 << 20)[cycle % 3])
    if mill is not None:
        with suppress(psutil.Error):
            mill.send_signal(signal.SIGCONT)
    until = time.monotonic() + FULL_S
    while time.monotonic() < until:
        filler.fill(leave_bytes=0)  # what was given back meanwhile
        time.sleep(0.2)
    filler.free()
    time.sleep(FREE_S)


def _settle(server: Server, receipts: list[str]) -> None:
    """Wait for the last payloads, then see that every acknowledged one is applied, with its one record."""
    server.wait_applied(receipts[-1], 120)
    deadline = time.monotonic() + 120
    while server.client.get("/readyz").json()["mill"]["lag"] > 0:
        assert time.monotonic() < deadline, server.client.get("/readyz").text
        time.sleep(0.2)

    def outcome(receipt: str) -> tuple[str, int, int]:
        found = server.client.get(f"/v1/receipts/{receipt}").json()
        return found["state"], found["accepted"], found["rejected"]

    with ThreadPoolExecutor(4) as pool:
        for receipt, found in zip(receipts, pool.map(outcome, receipts), strict=True):
            assert found == ("applied", 1, 0), receipt


def _proved(server: Server) -> dict[str, dict[str, int]]:
    report = verify_report(server.client)
    assert report["adds_up"], report["findings"][:10]
    return report
