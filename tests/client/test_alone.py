"""The client is installed alone: the wheel, and the packages that it needs, in an environment of their own.

The packages are copied from the environment of these tests, so that no download is made.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from tests.client.conftest import PUMPS
from tests.support.api import Api
from tests.support.server import CLOSED_PORT
from tidemill.client import Tidemill

ROOT = Path(__file__).parents[2]
SERVER = ("chdb", "litestar", "uvicorn", "polars", "scipy", "numpy", "clickhouse_connect", "apsw", "pyarrow", "pandas")
TANKS = PUMPS.replace("pumps", "alone").replace("pump", "tank")


class Alone(NamedTuple):
    """An environment with the client alone, which speaks to a server."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, given: str = "", status: int = 0) -> str:
        """What a command of the environment prints, standard error beneath it."""
        program = [str(self.folder / "bin" / command[0]), *command[1:]]
        done = subprocess.run(
            program,
            input=given,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def python(self, source: str) -> str:
        return self.run("python", "-c", source)


def needed(names: Iterator[str]) -> set[str]:
    """Distributions of this environment with all that they need, by name; extras are not needed."""
    open_names, seen = list(names), set[str]()
    while open_names:
        name = open_names.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        for text in distribution(name).requires or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                open_names.append(wanted.name)
    return seen


@pytest.fixture(scope="module")
def alone(whole: Api, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    folder = tmp_path_factory.mktemp("alone")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = (folder / "dist").iterdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", "--no-compile", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    required = [Requirement(line.partition(":")[2]) for line in lines if line.startswith("Requires-Dist:")]
    base = (wanted.name for wanted in required if wanted.marker is None or wanted.marker.evaluate({"extra": ""}))
    for name in needed(base):
        for file in distribution(name).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                (packages / file).write_bytes(Path(str(file.locate())).read_bytes())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    return Alone(folder, environment | {"TIDEMILL_URL": whole.url, "NO_PROXY": "*", "COLUMNS": "160"})


@pytest.fixture(scope="module", autouse=True)
def tanks(tidemill: Tidemill) -> None:
    tidemill.apply_feed(TANKS)


def test_nothing_of_the_server_is_installed(alone: Alone) -> None:
    assert alone.python(
        f"import importlib.util as u; print([name for name in {SERVER!r} if u.find_spec(name)])"
    ).split() == ["[]"]


def test_the_client_sends_and_reads(alone: Alone) -> None:
    printed = alone.python(
        "import json; from tidemill.client import Tidemill, UnavailableError\n"
        "with Tidemill() as tidemill:\n"
        "    receipt = tidemill.send('alone', [{'t': '2026-01-01T00:00:00Z', 'tank': 'a', 'bar': 3.5}], wait=30)\n"
        "    (series,) = tidemill.series(feed='alone', field='bar', tags={'tank': 'a'})\n"
        "    lines = b''.join(tidemill.text_pages('ndjson', series.id)).splitlines()\n"
        "    print(json.dumps([receipt.state, json.loads(lines[0])['value'], tidemill.metrics(series.id)['max']]))\n"
    )
    assert json.loads(printed) == ["applied", 3.5, 3.5]


@pytest.mark.parametrize(
    ("call", "package"), [("points", "polars"), ("points_arrow", "pyarrow"), ("points_pandas", "pyarrow")]
)
def test_a_frame_says_which_package_it_needs(alone: Alone, call: str, package: str) -> None:
    printed = alone.python(
        "from tidemill.client import MissingPackageError, Tidemill\n"
        f"try: Tidemill().{call}('0123456789abcdef')\n"
        "except MissingPackageError as error: print(error)\n"
    )
    assert f"pip install {package}" in printed


def test_the_commands_send_ask_and_follow(alone: Alone) -> None:
    lines = "".join(f'{{"t": "2026-01-02T0{hour}:00:00Z", "tank": "b", "bar": {hour}}}\n' for hour in range(3))
    assert "applied: 3 accepted, 0 rejected" in alone.run("tidemill", "send", "alone", "--wait", "30", given=lines)
    chosen = ("--feed", "alone", "--field", "bar", "--tag", "tank=b")
    assert "2026-01-02T02:00:00Z" in alone.run("tidemill", "query", *chosen)
    day = alone.run("tidemill", "query", *chosen, "--every", "1d", "--agg", "mean,count", "--format", "csv")
    assert [float(cell) for cell in day.splitlines()[1].split(",")[1:]] == [1, 3]
    assert "quantiles" in alone.run("tidemill", "metrics", *chosen)
    assert "3 rows" in alone.run("tidemill", "export", *chosen, "-o", "tank.csv")
    assert "pip install polars" in alone.run("tidemill", "export", *chosen, "-o", "tank.parquet", status=1)
    assert "1 stands at" in alone.run("tidemill", "why", *chosen, "--time", "2026-01-02T01:00:00Z")
    assert "alone" in alone.run("tidemill", "receipts", "--feed", "alone")
    for command in (("feed", "list", "--url", alone.environment["TIDEMILL_URL"]), ("source", "list"), ("jobs", "list")):
        alone.run("tidemill", *command)


def test_tail_follows_new_points(alone: Alone, tidemill: Tidemill) -> None:
    program = [str(alone.folder / "bin/tidemill"), "tail", "alone", "--count", "1", "--interval", "0.1"]
    with subprocess.Popen(program, env=alone.environment, stdout=subprocess.PIPE, text=True) as follower:
        for hour in range(600):
            stamp = f"2026-02-{hour // 24 + 1:02d}T{hour % 24:02d}:00:00Z"
            tidemill.send("alone", [{"t": stamp, "tank": "c", "bar": 7}], wait=30)
            if follower.poll() is not None:
                break
        printed = follower.communicate(timeout=30)[0]
    assert "tank=c  bar  7" in printed


@pytest.mark.parametrize("command", [("serve",), ("feed", "check", "x.toml"), ("simulate", "meters"), ("key", "list")])
def test_what_needs_the_server_says_in_one_sentence_what_to_install(alone: Alone, command: tuple[str, ...]) -> None:
    (alone.folder / "x.toml").write_text(TANKS)
    said = alone.run("tidemill", *command, status=2)
    assert "pip install 'tidemill[server]'" in said and said.count("\n") == 1


def test_a_server_that_is_not_there_is_named_with_the_option(alone: Alone) -> None:
    said = alone.run("tidemill", "jobs", "list", "--url", f"http://127.0.0.1:{CLOSED_PORT}", status=1)
    assert "--url or TIDEMILL_URL" in said
