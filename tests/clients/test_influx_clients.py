"""InfluxDB's own clients, as they come from the package index, write to a server of ours. Skipped with the reason where
the index cannot be reached."""

import json
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api, running_api, running_mill
from tests.support.engine import running_engine
from tidemill.catalog.keys import create_key
from tidemill.store.migrate import migrate

PACKAGES = ("influxdb-client==1.50.0", "influxdb3-python==0.21.0")
V2 = """
from datetime import datetime, timezone
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions
from influxdb_client.rest import ApiException
said = {}
with InfluxDBClient(url=url, token=token, org="any", enable_gzip=True) as client:
    said["ping"] = client.ping()
    with client.write_api(write_options=SYNCHRONOUS) as api:
        at = datetime(2026, 1, 1, tzinfo=timezone.utc)
        api.write("clients", record=Point("cpu").tag("host", "a b").field("usage", 1.5).field("n", 3).time(at))
        api.write("clients", record=[Point("cpu").tag("host", "c").field("up", True).time(1, WritePrecision.S)])
        mem = {"measurement": "mem", "tags": {}, "fields": {"free": 2.0, "why": "a=b,c"}, "time": 5}
        api.write("clients", record=mem)
        try:
            api.write("clients", record="ok f=1 1\\nbad line 2\\n")
        except ApiException as error:
            said["partial"] = [error.status, json.loads(error.body)]
    with client.write_api(write_options=WriteOptions(batch_size=500)) as api:
        api.write("clients", record=[f"batch,host=h{n % 3} v={n} {n}" for n in range(1200)])
with InfluxDBClient(url=url, token="wrong", org="any") as client:
    try:
        client.write_api(write_options=SYNCHRONOUS).write("clients", record="m f=1")
    except ApiException as error:
        said["wrong"] = error.status
"""
V3 = """
from influxdb_client_3 import InfluxDBClient3, Point, write_client_options, SYNCHRONOUS
said = {}
options = write_client_options(write_options=SYNCHRONOUS)
with InfluxDBClient3(host=url, token=token, database="clients3", write_client_options=options) as client:
    client.write(record=Point("cpu").tag("host", "a").field("usage", 1.5).time(1767225600000000000))
    client.write(record="cpu,host=b usage=2.5 1767225600000000000")
    try:
        client.write(record="ok f=1 1\\nbad line 2\\n")
    except Exception as error:
        said["partial"] = str(error)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment of its own with the clients; what these tests have already is taken from here."""
    folder = tmp_path_factory.mktemp("clients")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    program = folder / "bin/python"
    done = subprocess.run(
        [str(program), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip()[-300:]}")
    return program


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    """A server with a key that may write and read."""
    folder = tmp_path_factory.mktemp("server")
    with running_engine(folder / "store") as address:
        migrate(address)
        with running_api(folder, store=address) as api, running_mill(folder, address, api.hints):
            _, secret = create_key(api.services.catalog, "default", ["write", "read"], "clients")
            api.services.keys.refresh()
            api.client.headers["Authorization"] = f"Bearer {secret}"
            yield api, secret


def run(python: Path, script: str, api: Api, token: str) -> dict[str, Any]:
    """What a script of a client says."""
    head, tail = f"import json\nurl, token = {api.url!r}, {token!r}\n", "\nprint(json.dumps(said))\n"
    done = subprocess.run([str(python), "-c", head + script + tail], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def stored(api: Api, feed: str) -> dict[str, int]:
    """How many points each series of a feed has, once all is applied."""
    answer = api.client.post(f"/v1/points?feed={feed}", content=b"end f=1 1", headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    items = api.client.get("/v1/series", params={"feed": feed}).json()["items"]
    return {item["name"]: item["count"] for item in items}


def test_influxdb_client_writes(python: Path, server: tuple[Api, str]) -> None:
    api, token = server
    said = run(python, V2, api, token)
    assert said["ping"] is True
    status, answer = said["partial"]
    assert (status, answer["code"]) == (400, "invalid")
    assert answer["message"].startswith("partial write: unable to parse 'bad line 2'")
    assert said["wrong"] == 401
    assert stored(api, "clients") == {
        "cpu/a b/usage": 1,
        "cpu/a b/n": 1,
        "cpu/c/up": 1,
        "mem/free": 1,
        "ok/f": 1,
        **{f"batch/h{n}/v": 400 for n in range(3)},
        "end/f": 1,
    }


def test_influxdb3_python_writes(python: Path, server: tuple[Api, str]) -> None:
    api, token = server
    said = run(python, V3, api, token)
    assert "partial write" in said["partial"]
    assert stored(api, "clients3") == {"cpu/a/usage": 1, "cpu/b/usage": 1, "ok/f": 1, "end/f": 1}
