"""Routes of the HTML pages: the start page, the documentation of the API, and the list of all codes."""

import asyncio
import hashlib
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency

from tidemill import __version__
from tidemill.api import docs_page, html
from tidemill.api.health import Health, State
from tidemill.api.html import html_table, html_text
from tidemill.api.page import HIDDEN, page_document, wants_document
from tidemill.api.page_files import THEME_COOKIE, PageFiles
from tidemill.api.problem_codes import PROBLEMS
from tidemill.api.services import Services
from tidemill.feeds.definition import Feed
from tidemill.rules.reasons import REASONS

NOT_BUILT_HERE: Final = "The page is not built here: `make ui` builds it; then start the server again."


@get("/openapi.json", **HIDDEN)
async def openapi_json(document: NamedDependency[Any]) -> Response[dict[str, Any]]:
    """The OpenAPI 3.1 document."""
    data = await asyncio.to_thread(lambda: document.data)
    return Response(data, media_type="application/json")


@get("/docs", **HIDDEN)
async def docs(document: NamedDependency[Any], request: Request[Any, Any, Any]) -> Response[str]:
    """Every operation, as a page."""
    body = await asyncio.to_thread(_docs_body, document, _base(request))
    return html.html_page("Tidemill API", body, kind="docs", theme=_theme(request))


@lru_cache(maxsize=4)
def _docs_body(document: Any, base: str) -> str:
    """The body of `/docs` for a server that is called by this URL: half a megabyte, made in a tenth of a second."""
    return docs_page.render_docs(document.data, base)


@get([html.STYLE_PATH, html.SCRIPT_PATH], **HIDDEN)
async def docs_file(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The style of these pages, and the script of `/docs`."""
    content, kind, etag = _docs_files()[request.url.path.rstrip("/")]
    headers = {"Cache-Control": "no-cache", "ETag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=kind)
    return Response(content, headers=headers, media_type=kind)


@cache
def _docs_files() -> dict[str, tuple[bytes, str, str]]:
    """Each file by its path: its bytes, its media type and its ETag."""
    folder = resources.files("tidemill.api").joinpath("docs_assets")
    files = {
        html.STYLE_PATH: (("tokens.css", "docs.css"), "text/css"),
        html.SCRIPT_PATH: (("docs.js",), "text/javascript"),
    }
    made = {}
    for path, (names, kind) in files.items():
        content = b"".join(folder.joinpath(name).read_bytes() for name in names)
        made[path] = (content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return made


@get("/docs/problems", **HIDDEN)
async def docs_problems(request: Request[Any, Any, Any]) -> Response[str]:
    """Every problem and reason code, as a page; a problem's `type` points here."""
    problems = [
        (
            f'<code id="{code}">{code}</code>',
            str(meaning.status),
            f"<b>{html_text(meaning.title)}.</b> {html_text(meaning.help)}",
        )
        for code, meaning in PROBLEMS.items()
    ]
    reasons = [(f'<code id="reason-{code}">{code}</code>', html_text(meaning)) for code, meaning in REASONS.items()]
    body = (
        "<h1>Codes</h1><h2>Problems</h2><p>Every error is one <code>application/problem+json</code> document "
        "(RFC 9457) with one of these as its <code>code</code>.</p>"
        + html_table(("code", "status", "meaning"), problems)
        + "<h2>Reasons</h2><p>Why a payload is refused (each fault in <code>errors</code> with its path) or a record "
        "rejected (in the ledger). A feed may give a rule a code of its own.</p>"
        + html_table(("code", "meaning"), reasons)
    )
    return html.html_page("Tidemill: codes", body, theme=_theme(request))


@get("/", **HIDDEN)
async def start(
    services: NamedDependency[Services],
    health: NamedDependency[Health],
    page: NamedDependency[PageFiles],
    request: Request[Any, Any, Any],
) -> Response[Any]:
    """The page for a browser. For programs, and where the page is not built: the state of log, mill and store, and
    three commands to try; feeds and counts only while access is open."""
    if page.is_built and wants_document(request):
        return page_document(page, request)
    state = await health.state()
    feeds = await asyncio.to_thread(services.book.list, "default") if state.open_access else []
    body = _start_body(state, feeds, _base(request), built=page.is_built)
    return html.html_page("Tidemill", body, theme=_theme(request))


def _start_body(state: State, feeds: list[Feed], base: str, *, built: bool) -> str:
    parts = {
        "log": (state.log.accepting, f"{state.log.last_seq} payloads durable {state.log.reason}"),
        "mill": (state.mill.state not in ("unknown", "silent"), f"{state.mill.lag} to apply; {state.mill.state}"),
        "store": (state.store.up, state.store.reason or "answers"),
    }
    rows = [
        (
            html_text(name),
            f"<span class={'up' if up else 'down'}>{'up' if up else 'down'}</span>",
            html_text(says) if state.open_access else "",
        )
        for name, (up, says) in parts.items()
    ]
    shown = [
        (f'<a href="/v1/feeds/{html_text(f.name)}">{html_text(f.name)}</a>', html_text(f.title), f"version {f.version}")
        for f in feeds
    ]
    lines = (
        "curl -H 'Prefer: wait=5' "
        '-d \'{"time_stamp": "2026-01-01T06:00:00-04:00", "data": [0.37, 1.58]}\' \\\n'
        f"  '{base}/v1/feeds/dropzone'\n"
        f"curl '{base}/v1/feeds/dropzone/rows'\n"
        f"curl '{base}/v1/series?limit=5'"
    )
    listing = html_table(("feed", "", ""), shown) or "<p>A key is needed to see them.</p>"
    return (
        f"<h1>Tidemill</h1><p class=soft>The time-series service that can account for every point. {__version__}</p>"
        + ("" if built else f"<p>{html_text(NOT_BUILT_HERE)}</p>")
        + html_table(("part", "", ""), rows)
        + "<h2>Feeds</h2>"
        + listing
        + "<h2>Try</h2>"
        + html.html_code(lines)
        + '<p><a href="/docs">API</a> · <a href="/docs/problems">Codes</a> · <a href="/openapi.json">OpenAPI</a> · '
        '<a href="/readyz">Readiness</a> · <a href="/metrics">Metrics</a></p>'
    )


def _base(request: Request[Any, Any, Any]) -> str:
    return str(request.base_url).rstrip("/")


def _theme(request: Request[Any, Any, Any]) -> str:
    return request.cookies.get(THEME_COOKIE, "")


PAGE_ROUTES: Final = [openapi_json, docs, docs_file, docs_problems, start]
