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
from tidemill.client import Tidemill

ROOT = Path(__file__).parents[2]
SERVER = ("chdb", "litestar", "uvicorn", "polars", "scipy", "numpy", "clickhouse_connect", "apsw", "pyarrow", "pandas")
IN_ONE_PROCESS = """
import contextlib, io, json, sys
from tidemill import cli
from tidemill.cli.common import err, out
outputs = []
for line in lines:
    sys.argv = ["tidemill", *line.split()]
    text, ended = io.StringIO(), None
    out.file = err.file = text
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            cli.main()
        except SystemExit as end:
            ended = end.code or 0
    outputs.append(f"{ended} {text.getvalue()}")
print(json.dumps(outputs))
"""
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

    def commands(self, *lines: str) -> list[str]:
        """What `tidemill` prints for each of these arguments, run one after the other in one process; its exit status
        is the first word."""
        printed = self.python(f"lines = {lines!r}\n{IN_ONE_PROCESS}")
        outputs: list[str] = json.loads(printed)
        return outputs


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
    return Alone(
        folder,
        environment | {"TIDEMILL_URL": whole.url, "NO_PROXY": "*", "COLUMNS": "160", "XDG_STATE_HOME": str(folder)},
    )


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


def test_a_frame_says_which_package_it_needs(alone: Alone) -> None:
    printed = alone.python(
        "from tidemill.client import MissingPackageError, Tidemill\n"
        "for call in ('points', 'points_arrow', 'points_pandas'):\n"
        "    try: getattr(Tidemill(), call)('0123456789abcdef')\n"
        "    except MissingPackageError as error: print(error)\n"
    ).splitlines()
    for line, package in zip(printed, ("polars", "pyarrow", "pyarrow"), strict=True):
        assert f"pip install {package}" in line


def test_the_commands_send_and_ask(alone: Alone) -> None:
    lines = "".join(f'{{"t": "2026-01-02T0{hour}:00:00Z", "tank": "b", "bar": {hour}}}\n' for hour in range(3))
    (alone.folder / "levels.ndjson").write_text(lines)
    chosen = "--feed alone --field bar --tag tank=b"
    sent, table, day, metrics, written, refused, why, *lists = alone.commands(
        "send alone levels.ndjson --wait 30",
        f"query {chosen}",
        f"query {chosen} --every 1d --agg mean,count --format csv",
        f"metrics {chosen}",
        f"export {chosen} -o tank.csv",
        f"export {chosen} -o tank.parquet",
        f"why {chosen} --time 2026-01-02T01:00:00Z",
        "receipts --feed alone",
        f"feed list --url {alone.environment['TIDEMILL_URL']}",
        "source list",
        "jobs list",
        "replay list",
        "import --feed alone levels.ndjson",
        "export --feed alone -o all.ndjson",
    )
    assert "applied: 3 accepted, 0 rejected" in sent
    assert "2026-01-02T02:00:00Z" in table
    assert [float(cell) for cell in day.splitlines()[1].split(",")[1:]] == [1, 3]
    assert "quantiles" in metrics and "3 rows" in written
    assert refused.startswith("1 ") and "pip install polars" in refused
    assert "1 stands at" in why
    assert [text for text in (sent, table, day, metrics, written, why, *lists) if not text.startswith("0 ")] == []
    assert "alone" in lists[0] and "alone" in lists[1]
    assert "3 accepted, 0 rejected" in lists[-2] and "rows" in lists[-1]


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


def test_serve_says_in_one_sentence_what_to_install(alone: Alone) -> None:
    said = alone.run("tidemill", "serve", status=2)
    assert "pip install 'tidemill[server]'" in said and said.count("\n") == 1


def test_so_does_what_needs_another_part_of_the_server(alone: Alone) -> None:
    (alone.folder / "x.toml").write_text(TANKS)
    for said in alone.commands("feed check x.toml", "simulate meters", "key list", "verify --data x"):
        assert said.startswith("2 ") and "pip install 'tidemill[server]'" in said, said
