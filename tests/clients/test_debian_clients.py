"""Programs of Debian's write to a server of ours: the shell of InfluxDB, and curl. Skipped where they are missing."""

import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.api import Api, running_api, running_mill
from tests.support.engine import running_engine
from tidemill.catalog.keys import create_key
from tidemill.store.migrate import migrate


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


def run_program(name: str, *arguments: str) -> str:
    """What a program writes, errors too; the test is skipped where the program is not installed."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def stored(api: Api, feed: str) -> dict[str, int]:
    """How many points each series of a feed has, once all is applied."""
    answer = api.client.post(f"/v1/points?feed={feed}", content=b"end f=1 1", headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    items = api.client.get("/v1/series", params={"feed": feed}).json()["items"]
    return {item["name"]: item["count"] for item in items}


def test_the_shell_of_influxdb_inserts(server: tuple[Api, str]) -> None:
    api, key = server
    url = urlsplit(api.url)
    connection = ["-host", str(url.hostname), "-port", str(url.port), "-username", "anyone", "-database", "shell"]
    inserted = run_program("influx", *connection, "-password", key, "-execute", "INSERT cpu,host=a usage=1.5 1000")
    assert "ERR" not in inserted, inserted
    refused = run_program("influx", *connection, "-password", "wrong", "-execute", "INSERT cpu,host=b usage=1 1000")
    assert "ERR" in refused
    assert stored(api, "shell") == {"cpu/a/usage": 1, "end/f": 1}


def test_curl_writes_as_it_does_to_influxdb(server: tuple[Api, str]) -> None:
    api, key = server
    url = f"{api.url}/write?db=curl&precision=s"
    said = run_program(
        "curl", "-sS", "-i", "-u", f"anyone:{key}", url, "--data-binary", "m,host=a v=1 5\nm,host=a v=2 6"
    )
    assert " 204 " in said.splitlines()[0]
    assert stored(api, "curl") == {"m/a/v": 2, "end/f": 1}
