"""Two tenants with secrets on one server that has keys: no way of bravo's administrator to read acme's secret.

Everything that bravo's sources send, and everything that the server says to bravo, is looked through for acme's values.
A reference of acme's own comes through, so that the search is known to find something.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.sources.web import Web
from tests.support.server import Server, running_server
from tidemill.catalog.keys import create_key
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.simulate.server import running

HUSH = ("hush-variable-acme", "hush-file-acme", "hush-pool")
FEED = """
name = "{name}"
[time]
path = "$.t"
[fields.v]
path = "$.v"
[source]
every = "200ms"
max_backoff = "200ms"
allow = ["127.0.0.0/8", "::1/128"]
"""


class House:
    """The server, both tenants' keys, the web server that bravo commands, and what was said to bravo."""

    def __init__(self, server: Server, web: Web, url: str, pool: Path, keys: dict[str, str]) -> None:
        self.server, self.web, self.url, self.pool = server, web, url, pool
        self.headers = {name: {"X-API-Key": key} for name, key in keys.items()}
        self.said: list[str] = []
        self.number = itertools.count()

    def ask(self, tenant: str, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self.server.client.request(method, path, headers=self.headers[tenant], **more)
        if tenant == "bravo":
            self.said += [answer.text, str(answer.headers)]
        return answer

    def put(self, tenant: str, source: str) -> tuple[str, httpx.Response]:
        name = f"f{next(self.number)}"
        return name, self.ask(tenant, "PUT", f"/v1/feeds/{name}", content=FEED.format(name=name) + source)

    def wait_polled(self, tenant: str, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            items = self.ask(tenant, "GET", f"/v1/sources/{name}").json().get("items") or []
            if items and (items[0]["polls"] or items[0]["state"] == "failing"):
                found: dict[str, Any] = items[0]
                return found
            time.sleep(0.1)
        raise TimeoutError(f"{name} was not polled")

    def sent(self) -> str:
        return "".join(f"{request.path} {request.query} {request.headers}" for request in self.web.requests)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("two-tenants")
    for tenant in ("acme", "bravo", "acme-2"):
        (folder / "pool" / tenant).mkdir(parents=True)
        (folder / "pool" / tenant / "token").write_text(f"hush-file-{tenant}" if tenant != "bravo" else "bravo-file")
    (folder / "pool" / "loose").write_text("hush-pool")
    (folder / "pool" / "bravo" / "link").symlink_to(folder / "pool" / "acme" / "token")
    catalog = SqliteCatalog(folder / "data" / "catalog.sqlite")
    keys = {name: create_key(catalog, name, ["admin"])[1] for name in ("acme", "bravo")}
    catalog.close()
    env = {
        "TIDEMILL_SECRETS": str(folder / "pool"),
        "TIDEMILL_SOURCE_VARIABLES": "acme=TIDEMILL_ACME_*;bravo=TIDEMILL_BRAVO_*",
        "TIDEMILL_SOURCE_ALLOW": "127.0.0.0/8",
        "TIDEMILL_ACME_TOKEN": "hush-variable-acme",
        "TIDEMILL_BRAVO_TOKEN": "bravo-variable",
    }
    web = Web(lambda request: (200, {}, b'{"t": "2026-01-01T00:00:00Z", "v": 1}'))
    with running(web) as url, running_server(folder / "data", env=env) as server:
        yield House(server, web, url, folder / "pool", keys)


def references(house: House) -> list[str]:
    pool = house.pool
    return [
        "${TIDEMILL_ACME_TOKEN}",
        "${TIDEMILL_ACME_TOKEN:-}",
        "${TIDEMILL_ACME_TOKEN:-x}",
        f"${{file:{pool}/acme/token}}",
        f"${{file:{pool}/bravo/../acme/token}}",
        f"${{file:{pool}/bravo/link}}",
        f"${{file:{pool}/loose}}",
        "${file:/proc/self/environ}",
    ]


PLACES = [
    'url = "{url}/"\nheaders = {{ authorization = "Bearer {reference}" }}',
    'url = "{url}/{reference}"',
    'url = "{url}/?key={reference}"',
    'url = "{url}/"\nparams = {{ key = "{reference}" }}',
    'url = "{url}/"\neach = {{ key = "a,{reference}" }}',
    'url = "{reference}"',
    'url = "http://{reference}.invalid/"',
    'url = "{url}/"\ntimeout = "{reference}"',
    'url = "{url}/"\n[source.page]\nby = "cursor"\ncursor_path = "$.n"\nparam = "c"\nstart = "{reference}"',
    'url = "{url}/"\n[source.window]\nstart = "{reference}"',
    'kind = "nothing"\noptions = {{ key = "{reference}" }}',
]


def test_no_reference_in_any_place_brings_another_tenants_secret(house: House) -> None:
    polled = []
    for place, reference in itertools.product(PLACES, references(house)):
        source = place.format(url=house.url, reference=reference)
        name, answer = house.put("bravo", source)
        dry = house.ask("bravo", "PUT", f"/v1/feeds/{name}", params={"dry_run": "true"}, content=FEED + source)
        assert answer.status_code in {201, 400} and dry.status_code in {200, 400}
        if "file:" not in reference:
            assert answer.status_code == 400, "a variable is refused before anything is kept"
        if answer.status_code == 201:
            polled.append(name)
    assert polled, "files are read by who polls: these are kept, and their sources fail"
    for name in polled:
        assert house.wait_polled("bravo", name)["reason"] == "definition"
        for path in ("", "/versions", "/versions/1/diff", "/points", "/rows"):
            house.ask("bravo", "GET", f"/v1/feeds/{name}{path}")
        for path in ("", "/polls", "/polls/summary"):
            house.ask("bravo", "GET", f"/v1/sources/{name}{path}")
    for path in ("/v1/sources", "/v1/feeds", "/v1/rejections", "/metrics", "/readyz", "/v1/series"):
        house.ask("bravo", "GET", path)
    everything = "\n".join([*house.said, house.sent(), house.server.log.read_text("utf-8", "replace")])
    assert not [word for word in HUSH if word in everything]


def test_what_is_refused_looks_the_same_whoever_has_it(house: House) -> None:
    told = set()
    for name in ("TIDEMILL_ACME_TOKEN", "TIDEMILL_ACME_UNSET", "TIDEMILL_NOBODYS"):
        feed, answer = house.put("bravo", f'url = "{house.url}/${{{name}}}"')
        told.add(answer.text.replace(name, "NAME").replace(f"/{feed}", "/FEED").replace(f'"{feed}', '"FEED'))
    texts = {one.replace(f"f{n}.toml", "FEED.toml") for one in told for n in range(1000) if f"f{n}.toml" in one} or told
    assert len(texts) == 1, texts
    assert "acme" not in next(iter(texts))


def test_own_secrets_come_through_and_nothing_shows_them(house: House) -> None:
    source = (
        f'url = "{house.url}/own"\nparams = {{ key = "${{TIDEMILL_NAME_TOKEN}}" }}\n'
        f'headers = {{ x-token = "${{file:{house.pool}/NAME/token}}" }}'
    )
    for tenant in ("acme", "bravo"):
        text = source.replace("NAME_TOKEN", f"{tenant.upper()}_TOKEN").replace("NAME/token", f"{tenant}/token")
        name, answer = house.put(tenant, text)
        assert answer.status_code == 201, answer.text
        assert house.wait_polled(tenant, name)["state"] != "failing"
    own = [request for request in house.web.requests if request.path == "/own"]
    assert {(request.query["key"], request.headers["x-token"]) for request in own} == {
        ("hush-variable-acme", "hush-file-acme"),
        ("bravo-variable", "bravo-file"),
    }
    shown = house.server.log.read_text("utf-8", "replace") + "\n".join(house.said)
    disk = "".join(p.read_bytes().decode("latin-1") for p in house.server.data.glob("catalog.sqlite*"))
    assert not [word for word in (*HUSH, "bravo-variable", "bravo-file") if word in shown + disk]


def test_no_process_has_the_secrets_between_processes_in_its_environment(house: House) -> None:
    for role in ("api", "mill", "store"):
        process = house.server.part(role)
        named = set(process.environ())
        assert not named & {"TIDEMILL_RUNTIME", "TIDEMILL_STORE_SECRET"}
        assert not [value for value in process.environ().values() if "intake_secret" in value]
        assert not [word for word in process.cmdline()[2:] if "secret" in word]
    assert psutil.Process(house.server.process.pid).is_running()


def test_a_try_on_the_server_as_bravo_reads_nothing_of_acmes(house: House) -> None:
    environ = psutil.Process(house.server.process.pid).environ()
    for reference in references(house)[::3]:
        _, answer = house.put("bravo", f'url = "{house.url}/{reference}"')
        file = house.pool / "try.toml"
        file.write_text(FEED.format(name="tried") + f'url = "{house.url}/tried/{reference}"\n')
        command = [sys.executable, "-m", "tidemill.cli", "source", "try", "--tenant", "bravo", "--decode", str(file)]
        done = subprocess.run(
            [*command, "--allow", "127.0.0.0/8", "--data", str(house.server.data)],
            env=os.environ | {key: value for key, value in environ.items() if key.startswith("TIDEMILL_")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert not [word for word in HUSH if word in done.stdout + done.stderr + answer.text]
    assert "tried" not in house.sent()
