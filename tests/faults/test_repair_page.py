"""The commands of `docs/how-to/repair.md`, run as they are typed on a folder in which log and store are damaged."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support import flipping
from tests.support.server import CLOSED_PORT, Server, free_port, running_server

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "repair.md"
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL) for line in block.splitlines()
]


class Terminal:
    """A shell in the folder that holds `data`, with the server that was started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        quiet = f"http://127.0.0.1:{CLOSED_PORT}/"
        tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = os.environ | {
            "PATH": tools, "NO_COLOR": "1", "COLUMNS": "200", "TIDEMILL_LISTEN": f"127.0.0.1:{self.port}",
            "TIDEMILL_TELEMETRY_URL": quiet, "TIDEMILL_METERS_URL": quiet,
        }  # fmt: skip

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        typed = command.replace(":8080", f":{self.port}")
        return subprocess.run(
            typed, shell=True, check=False, cwd=self.folder, env=self._environment, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip

    @contextmanager
    def serving(self, command: str) -> Iterator[Server]:
        log = self.folder / "serve.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command.split(), cwd=self.folder, env=self._environment, stdout=output, stderr=output
            )
        url = f"http://127.0.0.1:{self.port}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            server = Server(url, self.port, self.folder / "data", process, 0.0, log, client)
            try:
                server.wait_ready(enough=(200, 503))
                yield server
            finally:
                server.stop()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """With a folder of which a backup was made, and then damaged: an entry of the log, a part of the points."""
    terminal = Terminal(tmp_path)
    with running_server(tmp_path / "data") as server:
        flipping.send(server.client, range(20))
        assert flipping.caught_up(server.client, 60)
        long = {"time_stamp": "2026-01-01T00:00:00Z", "data": [1.5] * 3000}
        server.client.post("/v1/feeds/dropzone", json=long, headers={"Prefer": "wait=30"})
        assert flipping.caught_up(server.client, 60)
    assert terminal.run("tidemill backup --data data --to backups").returncode == 0
    with sqlite3.connect(tmp_path / "data" / "log" / "log.sqlite") as connection:
        connection.execute(
            "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), '1.5', '7.9') AS BLOB) WHERE length(body) > 9e3"
        )
        assert connection.execute("SELECT changes()").fetchone() == (1,)
    connection.close()
    parts = [p for p in (tmp_path / "data/store/chdb/data/tidemill/points").iterdir() if p.name.startswith("all_")]
    for part in parts:
        content = bytearray((part / "data.bin").read_bytes())
        content[len(content) // 2] ^= 0xFF
        (part / "data.bin").write_bytes(content)
    return terminal


def test_the_commands_of_the_page_repair_a_folder_and_put_a_backup_back(terminal: Terminal) -> None:
    ask, keep, repair, serve, again, check, restore = COMMANDS
    with terminal.serving("tidemill serve --data data"):
        found = terminal.run(ask)
        assert found.returncode == 1 and "table_damaged" in found.stdout, found
        assert "log_damaged" in found.stdout or "is mended" in (terminal.folder / "serve.log").read_text(), found
    assert terminal.run(keep).returncode == 0
    repaired = terminal.run(repair)
    assert "of table points is damaged, and set aside" in repaired.stderr, repaired
    assert "applied again when the server starts" in repaired.stderr, repaired
    assert "gone for good" not in repaired.stderr, repaired
    with terminal.serving(serve) as server:
        assert flipping.caught_up(server.client, 60), server.client.get("/readyz").text
        found = terminal.run(again)
        assert found.returncode == 0 and "Everything adds up." in found.stdout, found
    for command in (check, restore):
        done = terminal.run(command)
        assert done.returncode == 0, done
    assert terminal.run("tidemill verify --data data").returncode == 0
