"""Whose requests are taken: the name that they are sent to, and the page that sends them. With keys and without, on the
routes that are answered before the framework and on those behind it."""

import http.client
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.samples import body, fix, problem, row
from tests.support.api import Api, running_api
from tidemill.api.hosts import MAX_REMEMBERED, ServerHosts
from tidemill.catalog.keys import create_key
from tidemill.settings import Settings

PORT = "PORT"  # stands for the port of the server
ROUTES = [
    ("PUT", "/location"),
    ("POST", "/v1/feeds/never"),
    ("DELETE", "/v1/series/0000000000000000"),
    ("GET", "/v1/feeds"),
    ("HEAD", "/v1/codes"),
    ("OPTIONS", "/v1/feeds"),
    ("POST", "/v1/replays"),
    ("DELETE", "/v1/feeds/never"),
    ("PATCH", "/v1/feeds/never"),
]
OUR_HOSTS = [f"127.0.0.1:{PORT}", "localhost", "mill.example.org:443"]
OTHER_HOSTS = ["evil.example", f"evil.example:{PORT}", "10.1.2.3", "localhost.evil.example", "example.org"]
OWN_ORIGINS = [None, "same"]
OTHER_ORIGINS = ["null", "https://evil.example", f"http://localhost:{PORT}9", "http://127.0.0.2", ""]
OWN_SITES = [None, "same-origin", "none"]
OTHER_SITES = ["cross-site", "same-site", ""]
SAFE = {"GET", "HEAD", "OPTIONS"}
MatrixRequest = tuple[str, str, str, str | None, str | None]
MATRIX: list[MatrixRequest] = [
    (method, path, host, origin, site)
    for (method, path), host, origin, site in itertools.product(
        ROUTES, OUR_HOSTS + OTHER_HOSTS, OWN_ORIGINS + OTHER_ORIGINS, OWN_SITES + OTHER_SITES
    )
]


@pytest.fixture(scope="module")
def open_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("open")
    with running_api(folder, settings=Settings(data=str(folder), hosts="mill.example.org")) as api:
        yield api


@pytest.fixture(scope="module")
def closed_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    folder = tmp_path_factory.mktemp("closed")
    settings = Settings(data=str(folder), hosts="mill.example.org")
    with running_api(folder, settings=settings, open_access=False) as api:
        _, secret = create_key(api.services.catalog, "default", ["admin"])
        api.services.keys.refresh()
        yield api, secret


def ask(wire: http.client.HTTPConnection, request: MatrixRequest, key: str | None = None) -> tuple[int, str]:
    """The status and the problem code of a request of the matrix, on a connection that is kept."""
    method, path, host, origin, site = request
    host = host.replace(PORT, str(wire.port))
    headers = {"Host": host, "Content-Type": "text/plain"}
    if origin is not None:
        scheme = "https" if host.endswith(":443") else "http"
        headers["Origin"] = f"{scheme}://{host}" if origin == "same" else origin.replace(PORT, str(wire.port)[:4])
    if site is not None:
        headers["Sec-Fetch-Site"] = site
    if key is not None:
        headers["X-API-Key"] = key
    wire.request(method, path, b"" if method in SAFE else b"{}", headers)
    answer = wire.getresponse()
    content = answer.read()
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert answer.headers.get_all("Cross-Origin-Resource-Policy") == ["same-origin"]
    assert "Access-Control-Allow-Origin" not in answer.headers
    failed = answer.status >= 400 and content
    return answer.status, json.loads(content)["code"] if failed else ""


def expected(request: MatrixRequest) -> tuple[int, str] | None:
    """What refuses a request of the matrix, or None: it is taken."""
    method, _, host, origin, site = request
    if host in OTHER_HOSTS:
        return 421, "" if method == "HEAD" else "misdirected"
    if method not in SAFE and (origin in OTHER_ORIGINS or site in OTHER_SITES):
        return 403, "cross_site"
    return None


def walk(api: Api, keys: list[str | None]) -> None:
    wire = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    for key in keys:
        for request in MATRIX:
            got, refusal = ask(wire, request, key), expected(request)
            if refusal is None:
                assert got[0] != 421 and got[1] != "cross_site", (request, got)
            else:
                assert got == refusal, (request, got)
    wire.close()


def test_the_matrix_without_keys(open_house: Api) -> None:
    walk(open_house, [None])


def test_the_matrix_with_keys(closed_house: tuple[Api, str]) -> None:
    api, secret = closed_house
    walk(api, [secret])


def test_a_page_that_rebinds_its_name_deletes_and_reads_nothing(open_house: Api) -> None:
    client = open_house.client
    for method, path in (("DELETE", "/v1/feeds/dropzone"), ("GET", "/v1/feeds"), ("GET", "/metrics"), ("GET", "/")):
        answer = client.request(method, path, headers={"Host": f"evil.example:{open_house.port}"})
        document = problem(answer, 421, "misdirected")
        assert "TIDEMILL_HOSTS=evil.example" in document["detail"]
    assert client.get("/v1/feeds/dropzone").status_code == 200


def test_a_form_on_another_page_sends_nothing(open_house: Api) -> None:
    before = open_house.services.log.last_seq()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        for path in ("/v1/feeds/dropzone", "/v1/series", "/v1/replays"):
            headers = {"Origin": "https://evil.example", "Content-Type": kind}
            problem(open_house.client.post(path, content=body(row()), headers=headers), 403, "cross_site")
    assert open_house.services.log.last_seq() == before


def test_programs_are_unharmed(open_house: Api) -> None:
    assert open_house.client.put("/location", json=fix()).status_code == 200
    assert open_house.client.post("/v1/feeds/dropzone", json=row()).status_code == 202


def test_anybody_may_ask_whether_the_process_is_alive(open_house: Api) -> None:
    assert open_house.client.get("/healthz", headers={"Host": "balancer"}).status_code == 200
    problem(open_house.client.post("/healthz", headers={"Host": "balancer"}), 421, "misdirected")
    problem(open_house.client.get("/readyz", headers={"Host": "balancer"}), 421, "misdirected")


def test_a_large_body_to_another_name_is_refused_before_it_has_come(open_house: Api) -> None:
    answer = open_house.client.post("/v1/feeds/dropzone", content=b" " * (1 << 20), headers={"Host": "evil.example"})
    problem(answer, 421, "misdirected")


@pytest.mark.parametrize(
    ("listen", "listed", "host", "ours"),
    [
        ("127.0.0.1", "", "LOCALHOST:1", True),
        ("127.0.0.1", "", "127.9.9.9:65535", True),
        ("127.0.0.1", "", "[::1]:8080", True),
        ("127.0.0.1", "", "[::ffff:127.0.0.1]", True),
        ("127.0.0.1", "", "0.0.0.0:8080", False),
        ("127.0.0.1", "", "192.0.2.1", False),
        ("127.0.0.1", "", "localhost.", False),
        ("127.0.0.1", "", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "", "[2001:db8::1]", False),
        ("192.0.2.1", "", "192.0.2.1:8080", True),
        ("192.0.2.1", "", "127.0.0.1:8080", True),  # through a tunnel
        ("192.0.2.1", "", "192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2, [2001:db8::1]", "[2001:DB8:0::1]:1", True),
        ("0.0.0.0", "", "198.51.100.7", True),
        ("::", "", "[2001:db8::9]", True),
        ("0.0.0.0", "", "evil.example", False),
        ("house", "", "house:80", True),
        ("127.0.0.1", "a.example, *.b.example", "a.example", True),
        ("127.0.0.1", "a.example, *.b.example", "x.a.example", False),
        ("127.0.0.1", "a.example, *.b.example", "x.y.B.example:1", True),
        ("127.0.0.1", "a.example, *.b.example", "b.example", False),
        ("127.0.0.1", "a.example, *.b.example", "evilb.example", False),
    ],
)
def test_which_names_are_ours(listen: str, listed: str, host: str, ours: bool) -> None:
    hosts = ServerHosts(listen, listed)
    assert hosts.is_ours(host.encode()) is ours
    assert hosts.is_ours(host.encode()) is ours  # remembered, or not


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://localhost:8080", "localhost:8080", True),
        ("http://localhost", "localhost", True),
        ("http://localhost", "localhost:80", True),
        ("https://localhost", "localhost:80", False),
        ("https://localhost", "localhost", True),  # a proxy ends TLS before this server
        ("http://localhost:3000", "localhost:8080", False),
        ("http://127.0.0.1:8080", "localhost:8080", False),
        ("https://mill.example.org:8443", "127.0.0.1:8080", True),  # listed: a proxy has replaced Host
        ("https://below.example.net", "127.0.0.1:8080", False),  # a pattern lists no page
        ("https://below.example.net", "below.example.net", True),
        ("null", "localhost:8080", False),
        ("http://localhost:8080/", "localhost:8080", False),
        ("http://a@localhost:8080", "localhost:8080", False),
        ("file://", "localhost:8080", False),
        ("http://localhost:8080, http://localhost:8080", "localhost:8080", False),
    ],
)
def test_which_pages_are_ours(origin: str, host: str, own: bool) -> None:
    hosts = ServerHosts("127.0.0.1", "mill.example.org,*.example.net")
    assert hosts.is_own_page(origin.encode(), host.encode()) is own


@given(st.binary(max_size=60) | st.from_regex(r"[a-z0-9.:\[\]-]{0,30}").map(str.encode))
def test_no_host_breaks_the_judge_and_none_is_ours_by_chance(host: bytes) -> None:
    hosts = ServerHosts("127.0.0.1")
    try:
        ours = hosts.is_ours(host)
    except ValueError:
        return
    name = host.rpartition(b":")[0] if host.count(b":") == 1 else host
    assert not ours or name.lower() == b"localhost" or name.startswith((b"127.", b"["))


def test_ports_without_end_do_not_fill_the_memory() -> None:
    hosts = ServerHosts("127.0.0.1")
    assert all(hosts.is_ours(b"localhost:%d" % port) for port in range(20_000))
    assert len(hosts.remembered) <= MAX_REMEMBERED


def test_a_server_on_an_address_says_which_setting_to_change(tmp_path: Path) -> None:
    with running_api(tmp_path, settings=Settings(data=str(tmp_path), listen="0.0.0.0:8080")) as api:
        assert api.client.get("/v1/codes", headers={"Host": "203.0.113.9:80"}).status_code == 200
        assert "TIDEMILL_HOSTS" in problem(api.client.get("/", headers={"Host": "a.b"}), 421, "misdirected")["detail"]
