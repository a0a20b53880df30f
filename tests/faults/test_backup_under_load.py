"""A server under load is backed up while it runs, again and again; each backup is restored, served, and compared."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.test_processes import fix
from tests.support.backups import back_up, command, flip, tidemill
from tests.support.proof import prove
from tests.support.rounds import rounds
from tests.support.server import Server, running_server
from tests.support.stopped import wait_until_stopped
from tidemill.log.sqlite import SqliteLogReader

BACKUPS = rounds(2, 12)
MINUTE = 60
DEADLINE_S = 60


@dataclass
class Load(threading.Thread):
    """Sends bodies one after the other until stopped; remembers what was acknowledged, and how long each took."""

    server: Server
    method: str
    path: str
    body: Callable[[int], Any]
    pause_s: float = 0.01
    acknowledged: list[tuple[str, bytes]] = field(default_factory=list)
    took: list[tuple[float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()

    def run(self) -> None:
        number = 0
        with httpx.Client(base_url=self.server.url, timeout=20, trust_env=False) as client:
            while not self.stopping.wait(self.pause_s):
                content, begun = json.dumps(self.body(number)).encode(), time.monotonic()
                answer = client.request(self.method, self.path, content=content)
                self.took.append((begun, time.monotonic() - begun))
                if answer.status_code in (200, 202):
                    self.acknowledged.append((answer.json()["id"], content))
                else:
                    self.failed.append(answer.text)
                number += 1

    def __hash__(self) -> int:
        return id(self)


@contextmanager
def loads(server: Server) -> Iterator[dict[str, Load]]:
    """Fixes of two phones, files for the dropzone, and fixes that are deleted again and again."""
    running = {
        "a1": Load(server, "PUT", "/location", lambda n: fix("a1", n)),
        "b2": Load(server, "PUT", "/location", lambda n: fix("b2", n)),
        "files": Load(server, "POST", "/v1/feeds/dropzone", samples, 0.03),
        "gone": Load(server, "PUT", "/location", lambda n: fix("gone", n), 0.05),
    }
    for load in running.values():
        load.start()
    try:
        yield running
    finally:
        for load in running.values():
            load.stopping.set()
        for load in running.values():
            load.join()


def samples(number: int) -> dict[str, Any]:
    stamp = f"2019-05-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    return {"time_stamp": stamp, "data": [number, number + 0.5, 2.0 * number]}


@dataclass
class Taken:
    """A backup, and what had been acknowledged before it began: bodies by receipt, and how many fixes of a phone."""

    path: Path
    bodies: dict[str, bytes]
    fixes: dict[str, int]
    files: int
    deleted: list[str]


def taken(server: Server, running: dict[str, Load], to: Path, deleted: list[str]) -> Taken:
    kept = [name for name in running if name != "gone"]
    acknowledged = {name: list(running[name].acknowledged) for name in kept}
    before = {name: len(load.acknowledged) for name, load in running.items()}
    gone = list(deleted)
    path = back_up(server.data, to)
    for name, load in running.items():
        assert len(load.acknowledged) > before[name], f"nothing was acknowledged for {name} meanwhile"
    bodies = {receipt: body for name in kept for receipt, body in acknowledged[name]}
    fixes = {name: before[name] for name in ("a1", "b2")}
    return Taken(path, bodies, fixes, before["files"], gone)


def delete_some(server: Server, running: dict[str, Load]) -> list[str]:
    """Delete what was sent so far of the phone that is forgotten; the receipts of that, when it is applied."""
    load = running["gone"]
    receipts = [receipt for receipt, _ in load.acknowledged]
    answer = server.client.delete(
        "/v1/feeds/location/points", params={"tag.user_id": "gone"}, headers={"Prefer": "wait=30"}
    )
    assert answer.status_code == 200, answer.text
    return receipts


def replay(server: Server) -> None:
    answer = server.client.post("/v1/replays", json={"feed": "location", "start": "2020-01-01T00:00:00Z"})
    assert answer.status_code in (200, 202), answer.text


def killed_half_way(server: Server, to: Path) -> None:
    """A backup that is killed while it copies: it is taken for no backup, and the mill clears up behind it."""
    whole = {path.name for path in to.iterdir() if not path.name.startswith(".")}
    process = subprocess.Popen(
        command("backup", "--data", server.data, "--to", to),
        env=os.environ | {"TIDEMILL_STOP_AT": "backup.log_copied"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_stopped(process, "backup.log_copied")
    finally:
        process.kill()
        process.communicate()
    assert {path.name for path in to.iterdir() if not path.name.startswith(".")} == whole
    left = list(to.glob(".*.partial"))
    done = tidemill("restore", left[0], "--data", to.parent / "never")
    assert (done.returncode, (to.parent / "never").exists()) == (1, False)
    assert "There is no whole backup" in done.stderr
    links = [server.data / "store" / "chdb" / "shadow" / "tidemill", server.data / "mill" / "backup" / "links"]
    deadline = time.monotonic() + DEADLINE_S
    while any(path.exists() for path in links):
        assert time.monotonic() < deadline, "the mill did not remove what a killed backup left"
        time.sleep(0.1)


def rollups(client: httpx.Client, user: str, minutes: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get(
        "/v1/feeds/location/rollups", params={"user_id": user, "limit": 1000}
    ).json()
    return sorted(rows, key=lambda row: str(row["minute"]))[:minutes]


def dropped(client: httpx.Client, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get("/v1/feeds/dropzone/rows", params={"limit": 10_000}).json()
    return sorted(rows, key=lambda row: str(row["time"]))[:count]


def compare(backup: Taken, original: dict[str, Any], data: Path) -> None:
    """Restore a backup and serve it: all that was acknowledged before it began is there, byte for byte, and applied;
    what is made of it is what the original made of it; and everything adds up."""
    done = tidemill("restore", backup.path, "--data", data)
    assert done.returncode == 0, done.stderr
    dark = tidemill("verify", "--data", data)
    assert dark.returncode == 0, dark.stdout + dark.stderr
    reader = SqliteLogReader(data / "log")
    for receipt, body in backup.bodies.items():
        entry = reader.find("default", receipt)
        assert entry is not None and entry.payload.body == body, receipt
    reader.close()
    with running_server(data) as server:
        for receipt in sample(backup.bodies):
            outcome = server.wait_applied(receipt, DEADLINE_S)
            assert (outcome["state"], outcome["accepted"], outcome["rejected"]) == ("applied", 1, 0), outcome
            assert server.client.get(f"/v1/receipts/{receipt}/payload").content == backup.bodies[receipt]
        for user, count in backup.fixes.items():
            whole = count // MINUTE  # minutes of which every fix was acknowledged
            assert whole > 0, "the load was too slow to fill a window"
            assert rollups(server.client, user, whole) == original[user][:whole]
        assert dropped(server.client, backup.files) == original["files"][: backup.files]
        for receipt in sample(backup.deleted):
            assert server.client.get(f"/v1/receipts/{receipt}").json()["state"] == "deleted"
            assert server.client.get(f"/v1/receipts/{receipt}/payload").status_code == 410
        answer = server.client.put("/location", json=fix("new", 0), headers={"Prefer": "wait=20"})
        assert answer.json()["state"] == "applied", answer.text
        assert prove(server.client)["totals"]["waiting"] == 0  # all of the log is in the store, and is the same


def sample(receipts: Iterable[str]) -> list[str]:
    """Twenty of them, the first and the last among these; `tidemill verify` looks at all."""
    known = list(receipts)
    return [known[number * (len(known) - 1) // 19] for number in range(20)] if len(known) > 20 else known


@pytest.mark.timeout(600)
def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    data, to = tmp_path / "data", tmp_path / "backups"
    backups, deleted = [], list[str]()
    with running_server(data) as server:
        with loads(server) as running:
            deadline = time.monotonic() + DEADLINE_S
            while min(len(running[name].acknowledged) for name in ("a1", "b2")) < MINUTE + 5:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            spans = []
            for number in range(BACKUPS):
                replay(server)
                if number % 2 == 0:
                    deleted += delete_some(server, running)
                begun = time.monotonic()
                backups.append(taken(server, running, to, deleted))
                spans.append((begun, time.monotonic()))
            killed_half_way(server, to)
            archive = taken(server, running, tmp_path / "whole.tar.zst", deleted)
        assert not [load.failed for load in running.values() if load.failed]
        print_times(running, spans)
        last = [load.acknowledged[-1][0] for load in running.values()]
        for receipt in last:
            server.wait_applied(receipt, DEADLINE_S)
        original = {user: rollups(server.client, user, 1000) for user in ("a1", "b2")}
        original["files"] = dropped(server.client, 10_000)
        prove(server.client)
    for number, backup in enumerate([*backups, archive]):
        compare(backup, original, tmp_path / f"restored-{number}")
    linked = [path for path in backups[-1].path.rglob("*") if path.is_file() and path.stat().st_nlink > 1]
    assert linked, "nothing is shared between backups"


def print_times(running: dict[str, Load], spans: list[tuple[float, float]]) -> None:
    """Print the slowest hundredth of the acknowledgements while a backup ran, and otherwise."""
    during, otherwise = list[float](), list[float]()
    for load in running.values():
        for begun, took_s in load.took:
            (during if any(low <= begun <= high for low, high in spans) else otherwise).append(took_s)
    for name, took in (("during backups", during), ("otherwise", otherwise)):
        took.sort()
        print(f"{name}: {len(took)} acknowledged, p50 {_at(took, 0.5):.1f} ms, p99 {_at(took, 0.99):.1f} ms")


def _at(took: list[float], share: float) -> float:
    return 1e3 * took[int(share * (len(took) - 1))] if took else float("nan")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped data folder with a few payloads."""
    data = tmp_path_factory.mktemp("stopped") / "data"
    with running_server(data) as server:
        for number in range(20):
            answer = server.client.put("/location", json=fix("a1", number))
        server.wait_applied(answer.json()["id"], DEADLINE_S)
    return data


def test_one_wrong_byte_ends_the_commands_with_its_name(stopped: Path, tmp_path: Path) -> None:
    backup, archive = back_up(stopped, tmp_path / "backups"), back_up(stopped, tmp_path / "whole.tar.zst")
    part = next(backup.glob("store/**/data.bin"))
    flip(part)
    flip(archive)
    for path, name in ((backup, part.relative_to(backup).as_posix()), (archive, str(archive))):
        for arguments in (("backup", "verify", path), ("restore", path, "--data", tmp_path / "restored")):
            done = tidemill(*arguments)
            assert done.returncode == 1
            assert f"{path} is damaged" in done.stderr and name in done.stderr
            assert not (tmp_path / "restored").exists()


class Small:
    """A disk of a few kB at a folder, in a namespace of its own. Skips the test where none can be mounted."""

    def __init__(self, folder: Path, size: str) -> None:
        folder.mkdir()
        self.folder = folder
        self._mount = f"mount -t tmpfs -o size={size} tmpfs {folder}"
        self._apart = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
        if subprocess.run([*self._apart, self._mount], check=False, capture_output=True).returncode:
            pytest.skip("cannot mount a small disk here")

    def run(self, arguments: Sequence[str], listed: str) -> subprocess.CompletedProcess[str]:
        """Run a command; its status and the files left on the disk (`listed` chooses, for find) are in its output."""
        show = f"{self._mount} && {{ {' '.join(arguments)}; echo status $?; find {self.folder} {listed}; }}"
        return subprocess.run([*self._apart, show], check=True, capture_output=True, text=True, timeout=110)


def test_a_full_disk_under_the_backup_is_said_and_harms_nothing(stopped: Path, tmp_path: Path) -> None:
    small = Small(tmp_path / "small", "24k")
    for to in (small.folder, small.folder / "whole.tar.zst"):
        done = small.run(command("backup", "--data", stopped, "--to", to), "-type f")
        assert "status 1" in done.stdout, done.stdout + done.stderr
        assert f"The disk under '{to}' is full" in done.stderr
        assert not [line for line in done.stdout.splitlines()[1:] if not line.endswith(".lock")]
    assert tidemill("verify", "--data", stopped).returncode == 0


def test_a_restore_on_a_full_disk_leaves_nothing(stopped: Path, tmp_path: Path) -> None:
    backup = back_up(stopped, tmp_path / "backups")
    small = Small(tmp_path / "small", "100k")
    done = small.run(command("restore", backup, "--data", small.folder / "data"), "-mindepth 1")
    assert done.stdout.strip() == "status 1", done.stdout + done.stderr
    assert "is full" in done.stderr


def test_a_mill_that_is_hung_is_said_and_the_server_goes_on(tmp_path: Path) -> None:
    with ExitStack() as undo:
        server = undo.enter_context(running_server(tmp_path / "data"))
        mill = server.part("mill")
        mill.suspend()
        undo.callback(mill.resume)
        process = subprocess.Popen(
            command("backup", "--data", server.data, "--to", tmp_path / "backups"), stderr=subprocess.PIPE, text=True,
            env=os.environ | {"NO_COLOR": "1", "COLUMNS": "400"},
        )  # fmt: skip
        hold = server.data / "mill" / "backup" / "hold"
        deadline = time.monotonic() + DEADLINE_S
        while not hold.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        second = tidemill("backup", "--data", server.data, "--to", tmp_path / "others")
        assert second.returncode == 1 and "Another backup" in second.stderr
        process.kill()
        process.wait()
        mill.resume()
        answer = server.client.put("/location", json=fix("a1", 0), headers={"Prefer": "wait=20"})
        assert answer.json()["state"] == "applied"
        while hold.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        back_up(server.data, tmp_path / "backups")
