"""Every block of the pages for a newcomer is run as it stands, at a server as `make run` starts it, with the
demonstration on; what a block prints is what the page shows beneath it.

A block of `sh` is run by bash in the shell of `make shell`; the block of `json` or `text` after it is its output. White
space does not count, `…` stands for anything, and ids and times of receipt may be others. `/srv` is the folder of that
shell, `/backups` one in it.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.pages import check_page
from tests.support.server import free_port

ROOT = Path(__file__).parents[1]
JOBS = tuple(f"docs/jobs/{job}.md" for job in ("signals", "dropzone", "telemetry", "location", "meters"))
PAGES = ("README.md", "docs/tutorial.md", *JOBS, "docs/how-to/series.md", "docs/how-to/backup.md")
NUMBERS_VARY = "docs/how-to/backup.md"  # sizes, counts and seconds
NOT_RUN = {"crontab"}
SHOWN_URL = "127.0.0.1:8080"  # what the pages and `make run` say
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:```(?:json|text)\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
# What differs from one run to the next, as a page shows it, and what it may be instead.
VARYING = re.compile(
    rf"(?P<id>{_UUID})|(?P<received>\d{{4}}-\d\d-\d\dT[\d:]{{8}}\.\d{{7,9}}Z)|(?P<begun>01[0-9a-f]{{6}}-(?=…))|…"
)
SIZE = r"[\\d.,]+(?:[KMG]iB|bytes)?"  # for numbers, on a page where they vary (as `re.sub` takes it)
WAITING = re.compile(r"\(\d+ofittobeappliedyet\)")  # there or not, on such a page
LIKE = {"id": _UUID, "received": r"\d{4}-\d\d-\d\dT[\d:.]+Z", "begun": "[0-9a-f]{8}-", None: ".*?"}


class Block(NamedTuple):
    command: str
    expected: str


class Place(NamedTuple):
    """A running server, and the environment and folder of a shell beside it."""

    port: int
    folder: Path
    environment: dict[str, str]

    def here(self, text: str) -> str:
        """A text of a page with this server and this folder in place of those that the page names, and with more
        patience, for a busy machine."""
        text = (
            text.replace(SHOWN_URL, f"127.0.0.1:{self.port}")
            .replace("/srv/", f"{self.folder}/")
            .replace("wait=5", "wait=30")
        )
        return re.sub(r"(?<![\w/])/backups", f"{self.folder}/backups", text)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run it as a terminal shows it: standard error among the output."""
        shell, both = ["bash", "-e", "-c", self.here(command)], subprocess.STDOUT
        return subprocess.run(
            shell, cwd=self.folder, env=self.environment, stdout=-1, stderr=both, text=True, check=False, timeout=300
        )


def blocks(page: str) -> list[Block]:
    found = BLOCK.findall((ROOT / page).read_text("utf-8"))
    assert {kind for kind, _, _ in found} - NOT_RUN == {"sh"}, f"a block of {page} that nothing runs"
    return [Block(command, output) for kind, command, output in found if kind == "sh" and command[:5] != "make "]


def squeezed(text: str) -> str:
    """Without white space, and without the clause that depends on the moment."""
    return WAITING.sub("", "".join(text.split()))


def pattern(expected: str, *, numbers_vary: bool = False) -> re.Pattern[str]:
    """What an output must match, without white space."""
    text, parts, end = squeezed(expected), [], 0
    for varying in VARYING.finditer(text):
        parts += [re.escape(text[end : varying.start()]), LIKE[varying.lastgroup]]
        end = varying.end()
    written = "".join([*parts, re.escape(text[end:])])
    return re.compile(re.sub(r"\d+(?:\\\.\d+)?(?:[KMG]iB|bytes)?", SIZE, written) if numbers_vary else written)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The server that `make run` starts, in a folder with the examples."""
    folder, port = tmp_path_factory.mktemp("newcomer"), free_port()
    (folder / ".curlrc").write_text("silent\nshow-error\n")
    shutil.copytree(ROOT / "examples", folder / "examples")
    told = ["make", "-n", "-s", "-o", f"{sys.prefix}/.ready-to-run", f"VENV={sys.prefix}", f"PORT={port}", "run"]
    commands = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    serve = commands.splitlines()[-1]  # what comes before it builds the page
    assert serve.endswith("--demo")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")} | {
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "TIDEMILL_URL": f"http://127.0.0.1:{port}",
        "NO_PROXY": "*",
        "COLUMNS": "160",
        "CURL_HOME": str(folder),  # as on a terminal, where curl shows no progress
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["bash", "-c", f"exec {serve}"], cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _wait_ready(port, process, folder / "log")
        yield Place(port, folder, environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server is ready and the mill has caught up with the demonstration's first flood."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            ready = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=5)
            if ready.status_code == 200 and ready.json()["mill"]["lag"] < 20:
                return
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


@pytest.mark.parametrize("page", PAGES)
def test_every_block_prints_what_the_page_shows(place: Place, page: str) -> None:
    for block in blocks(page):
        done = place.run(block.command)
        assert done.returncode == 0, f"{block.command}\n{done.stdout}"
        output = pattern(place.here(block.expected), numbers_vary=page == NUMBERS_VARY)
        if block.expected and not output.fullmatch(squeezed(done.stdout)):
            shown = f"prints\n{done.stdout}\nthe page shows\n{block.expected}"
            pytest.fail(f"{page}\n{block.command}\n{shown}", pytrace=False)


def test_the_page_of_two_meters_is_run_as_it_stands(place: Place) -> None:
    check_page(ROOT / "docs/how-to/two-meters.md", f"http://127.0.0.1:{place.port}", place.folder)


def test_the_banner_says_where_it_is_and_how_the_command_is_called(place: Place) -> None:
    banner = (place.folder / "log").read_text("utf-8")
    for line in (f"http://127.0.0.1:{place.port}/docs", str(place.folder / "data"), "tidemill --help", "Try it"):
        assert line in banner
    command = re.search(r"^    (curl -X PUT .*)$", banner, re.MULTILINE)
    why = re.search(r"^    (\S*tidemill why .*)$", banner, re.MULTILINE)
    assert command is not None and why is not None
    lines = [json.loads(line) for line in banner.splitlines() if line.startswith("{")]
    assert {"store", "mill", "api"} <= {line.get("part") for line in lines}, "where no terminal is, the log is JSON"
    assert place.run(command[1]).returncode == 0
    assert "was received for feed 'location'" in place.run(why[1]).stdout


def test_what_a_pattern_takes_and_what_it_does_not() -> None:
    shown = '{"id":"01a22d2c-3aa3-756b-be6a-7dd3ca51cf15","received_at":"2026-11-30T15:56:43.043338738Z","n":1,…}'
    same = '{"id":"00000000-0000-0000-0000-000000000000","received_at":"2027-01-01T00:00:00.1Z","n":1,"more":2}'
    assert pattern(shown).fullmatch(same)
    assert not pattern(shown).fullmatch(same.replace('"n":1', '"n":2'))
    assert not pattern("[]").fullmatch('[{"count":1}]')
    assert pattern("Record 1 of payload 01a22d2c-… was").fullmatch("Record1ofpayload0fffffff-0000was")
    backup = pattern("offset 528 (57 of it to be applied yet), 57.7 MiB", numbers_vary=True)
    assert backup.fullmatch(squeezed("offset 1,602, 840.5 KiB"))
    assert backup.fullmatch(squeezed("offset 1 (2 of it to be applied yet), 1 bytes"))
    assert not backup.fullmatch("offset528,57.7MiBinall")
    assert not pattern("at 2026-01-01T00:00:10Z").fullmatch("at2026-01-01T00:00:11Z")
