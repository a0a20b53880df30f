"""How the built page and the guide are served: documents at their paths, assets in the coding that a browser takes, and
nothing else."""

import base64
import gzip
import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.samples import problem
from tests.support.api import Api, running_api
from tidemill.api.page_files import PageFiles, accepted_codings

INDEX = (
    b'<!doctype html>\n<html lang="en" data-theme="dark">\n<head><title>Tidemill</title></head><body></body></html>\n'
)
SCRIPT = b"export const answer = 42;\n" * 40
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PATHS = [
    "/", "/explore", "/explore?s=0123456789abcdef&from=-24h", "/analyse/0123456789abcdef", "/ledger", "/why",
    "/receipts/019c1404-c000-7000-8000-000000000001", "/feeds", "/feeds/pumps", "/sources", "/admin", "/sign-in",
]  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types svelte-trusted-html"
)


def build_page(folder: Path) -> Path:
    """A page as `make ui` leaves it."""
    assets = folder / "assets" / "chunks"
    assets.mkdir(parents=True)
    (folder / "index.html").write_bytes(INDEX)
    (folder / "manifest.json").write_text("{}")
    (folder / "assets" / "app-1a2b3c.js").write_bytes(SCRIPT)
    (folder / "assets" / "app-1a2b3c.js.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / "assets" / "app-1a2b3c.js.br").write_bytes(b"(in brotli)")
    (assets / "style-9f.css").write_bytes(b":root{}")
    (folder / "assets" / "icons-77.svg").write_bytes(b"<svg/>")
    (folder.parent / "outside.js").write_bytes(b"outside")
    return folder


def build_guide(folder: Path) -> Path:
    """A guide as `make guide` leaves it."""
    (folder / "jobs").mkdir(parents=True)
    (folder / "index.html").write_text("<html><script>a=1</script><script src=a.js></script></html>")
    (folder / "jobs" / "a.html").write_text("<html></html>")
    (folder / "a.js").write_text("b=1")
    (folder / ".sources").write_text("a hash")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("page")
    page, guide = build_page(folder / "ui"), build_guide(folder / "guide")
    with running_api(folder / "data", page_folder=page, guide_folder=guide) as api:
        yield api


@pytest.mark.parametrize("path", PATHS)
def test_each_path_of_the_page_is_answered_with_its_document(built: Api, path: str) -> None:
    answer = built.client.get(path, headers=BROWSER)
    assert answer.status_code == 200
    assert answer.content == INDEX.replace(b' data-theme="dark"', b"")
    headers = answer.headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-cache"
    assert re.fullmatch(r"([a-z-]+=\(\)(, |$))+", headers["permissions-policy"])
    assert built.client.head(path, headers=BROWSER).headers["etag"] == headers["etag"]
    again = built.client.get(path, headers=BROWSER | {"If-None-Match": f'W/"other", {headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    "path",
    ["/explore/more", "/feeds/a/b", "/receipts", "/analyse", "/index.html", "/manifest.json", "/adminx", "/v1/x"],
)
def test_every_other_path_keeps_its_meaning(built: Api, path: str) -> None:
    problem(built.client.get(path, headers=BROWSER), 404, "not_found")


def test_the_api_is_the_same_for_a_browser(built: Api) -> None:
    for path in ("/v1/feeds", "/readyz", "/openapi.json"):
        assert built.client.get(path, headers=BROWSER).headers["content-type"] == "application/json"
    assert "Tidemill API" in built.client.get("/docs", headers=BROWSER).text
    problem(built.client.post("/explore"), 405, "method_not_allowed")


def test_programs_get_the_state_of_the_server_at_the_root(built: Api) -> None:
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        answer = built.client.get("/", headers=headers)
        assert "payloads durable" in answer.text
        assert "make ui" not in answer.text


def test_theme_and_locale_of_plain_cookies_are_in_the_document(built: Api) -> None:
    seen = set()
    for cookies, attributes in (
        ("", b""),
        ("tidemill_theme=dark", b' data-theme="dark"'),
        ("a=b; tidemill_theme=light; tidemill_locale=de-CH", b' data-theme="light" data-locale="de-CH"'),
        ("tidemill_locale=zh-Hant-TW", b' data-locale="zh-Hant-TW"'),
        ('tidemill_theme=dark" onload=alert(1); tidemill_locale="><script>', b""),
    ):
        answer = built.client.get("/explore", headers=BROWSER | {"Cookie": cookies})
        assert b"<html" + attributes + b' lang="en">' in answer.content, cookies
        assert answer.content.count(b"data-theme") <= 1
        assert "Cookie" in answer.headers["vary"]
        seen.add(answer.headers["etag"])
    assert len(seen) == 4


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PageFiles:
    return PageFiles(build_page(tmp_path_factory.mktemp("files") / "ui"))


@given(theme=st.text(max_size=20), locale=st.text(max_size=40))
def test_no_cookie_breaks_out_of_its_attribute(files: PageFiles, theme: str, locale: str) -> None:
    document = files.document({"tidemill_theme": theme, "tidemill_locale": locale}).body.decode()
    tag = re.search(r"<html[^>]*>", document)
    assert tag is not None
    assert re.fullmatch(r'<html( data-theme="(light|dark)")?( data-locale="[A-Za-z0-9-]+")? lang="en">', tag[0]), tag[0]


def test_an_asset_is_sent_in_the_coding_that_is_taken_and_kept_for_good(built: Api) -> None:
    for accepted, coding, content in (
        ("gzip, deflate, br, zstd", "br", b"(in brotli)"),
        ("gzip", "gzip", gzip.compress(SCRIPT)),
        ("br;q=0, gzip;q=0.5", "gzip", gzip.compress(SCRIPT)),
        ("*", "br", b"(in brotli)"),
        ("*;q=0", None, SCRIPT),
        ("zstd", None, SCRIPT),
        ("", None, SCRIPT),
    ):
        with built.client.stream("GET", "/assets/app-1a2b3c.js", headers={"Accept-Encoding": accepted}) as answer:
            raw = b"".join(answer.iter_raw())
        assert answer.headers.get("content-encoding") == coding, accepted
        assert (raw[10:], answer.headers["vary"]) == (content[10:], "Accept-Encoding")  # gzip's head has a time
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert built.client.get("/assets/chunks/style-9f.css").headers["content-type"] == "text/css; charset=utf-8"
    assert built.client.get("/assets/icons-77.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html", "/assets/../../outside.js", "/assets/%2e%2e/%2e%2e/outside.js", "/assets//etc/passwd",
        "/assets/..%2findex.html", "/assets/chunks/../app-1a2b3c.js", "/assets/app-1a2b3c.js.br", "/assets/",
        "/assets/none.js", "/assets/chunks", "/assets/%00", "/assets/..\\index.html",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_assets(built: Api, path: str) -> None:
    with socket.create_connection(("127.0.0.1", built.port)) as connection:  # a client would tidy the path up
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 404 "), answer
    assert b"application/problem+json" in answer


def test_without_a_built_page_the_start_page_says_how_to_build_it(tmp_path: Path) -> None:
    with running_api(tmp_path / "data") as api:
        start = api.client.get("/", headers=BROWSER)
        assert "make ui" in start.text and "payloads durable" in start.text
        assert "make ui" in problem(api.client.get("/explore", headers=BROWSER), 404, "not_found")["detail"]
        problem(api.client.get("/assets/app-1a2b3c.js"), 404, "not_found")


def test_quality_values_that_are_none_are_no_consent() -> None:
    assert accepted_codings("br;q=x, gzip;q=0.001") == {"gzip"}
    assert accepted_codings("*;q=0.1, br;q=0") == {"gzip"}


def test_the_guide_is_served_by_its_names_under_a_policy_of_its_own_scripts(built: Api) -> None:
    for folder in ("/docs/guide", "/docs/guide/"):
        answer = built.client.get(folder)
        assert (answer.status_code, answer.headers["location"]) == (307, "/docs/guide/index.html")
    page = built.client.get("/docs/guide/index.html")
    hashed = base64.b64encode(hashlib.sha256(b"a=1").digest()).decode()
    assert f"script-src 'self' 'sha256-{hashed}';" in page.headers["content-security-policy"]
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (
        built.client.get("/docs/guide/index.html", headers={"If-None-Match": page.headers["etag"]}).status_code == 304
    )
    assert built.client.get("/docs/guide/jobs/a.html").text == "<html></html>"
    assert built.client.get("/docs/guide/a.js").headers["content-type"].startswith("text/javascript")
    for path in (".sources", "../ui/index.html", "%2e%2e/outside.js", "jobs", "jobs/b.html"):
        problem(built.client.get(f"/docs/guide/{path}"), 404, "not_found")


def test_a_guide_that_is_not_built_says_how_to_build_it(api: Api) -> None:
    assert "make guide" in api.client.get("/docs/guide").text
