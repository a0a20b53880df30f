"""The pages a browser sees: the start page, the API's documentation, and the list of all codes."""

import asyncio
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency

from tidemill import __version__
from tidemill.api import docs_page, html
from tidemill.api.health import Health, State
from tidemill.api.html import table, text
from tidemill.api.problems import PROBLEMS
from tidemill.api.services import Services
from tidemill.feeds.definition import Feed
from tidemill.rules.reasons import REASONS

HIDDEN: Final[dict[str, Any]] = {"opt": {"scope": None}, "include_in_schema": False}


@get("/openapi.json", **HIDDEN)
async def openapi_json(document: NamedDependency[Any]) -> Response[dict[str, Any]]:
    """The OpenAPI 3.1 document."""
    data = await asyncio.to_thread(lambda: document.data)
    return Response(data, media_type="application/json")


@get("/docs", **HIDDEN)
async def docs(document: NamedDependency[Any], request: Request[Any, Any, Any]) -> Response[str]:
    """Every operation, as a page."""
    data = await asyncio.to_thread(lambda: document.data)
    return html.page("Tidemill API", docs_page.render(data, _base(request)))


@get("/docs/problems", **HIDDEN)
async def docs_problems() -> Response[str]:
    """Every problem and reason code, as a page; a problem's `type` points here."""
    problems = [
        (f'<code id="{code}">{code}</code>', str(meaning.status), f"<b>{text(meaning.title)}.</b> {text(meaning.help)}")
        for code, meaning in PROBLEMS.items()
    ]
    reasons = [(f'<code id="reason-{code}">{code}</code>', text(meaning)) for code, meaning in REASONS.items()]
    body = (
        "<h1>Codes</h1><h2>Problems</h2><p>Every error is one <code>application/problem+json</code> document "
        "(RFC 9457) with one of these as its <code>code</code>.</p>"
        + table(("code", "status", "meaning"), problems)
        + "<h2>Reasons</h2><p>Why a payload is refused (each fault in <code>errors</code> with its path) or a record "
        "rejected (in the ledger). A feed may give a rule a code of its own.</p>" + table(("code", "meaning"), reasons)
    )
    return html.page("Tidemill: codes", body)


@get("/", **HIDDEN)
async def start(
    services: NamedDependency[Services], health: NamedDependency[Health], request: Request[Any, Any, Any]
) -> Response[str]:
    """What runs here, and three lines to try. Feeds, and how much there is, are shown only while access is open."""
    state = await health.state()
    feeds = await asyncio.to_thread(services.book.list, "default") if state.open_access else []
    return html.page("Tidemill", _start(state, feeds, _base(request)))


def _start(state: State, feeds: list[Feed], base: str) -> str:
    parts = {
        "log": (state.log.accepting, f"{state.log.last_seq} payloads durable {state.log.reason}"),
        "mill": (state.mill.state not in ("unknown", "silent"), f"{state.mill.lag} to apply; {state.mill.state}"),
        "store": (state.store.up, state.store.reason or "answers"),
    }
    rows = [
        (
            text(name),
            f"<span class={'up' if up else 'down'}>{'up' if up else 'down'}</span>",
            text(says) if state.open_access else "",
        )
        for name, (up, says) in parts.items()
    ]
    shown = [
        (f'<a href="/v1/feeds/{text(f.name)}">{text(f.name)}</a>', text(f.title), f"version {f.version}") for f in feeds
    ]
    lines = (
        f'curl -X POST -d \'{{"time_stamp": "2026-01-01T06:00:00-04:00", "data": [0.37, 1.58]}}\' '
        f"'{base}/v1/feeds/dropzone'\n"
        f"curl '{base}/v1/feeds/dropzone/rows'\n"
        f"curl '{base}/v1/series?limit=5'"
    )
    listing = table(("feed", "", ""), shown) or "<p>A key is needed to see them.</p>"
    return (
        f"<h1>Tidemill</h1><p class=soft>The time-series service that can account for every point. {__version__}</p>"
        + table(("part", "", ""), rows)
        + "<h2>Feeds</h2>"
        + listing
        + "<h2>Try</h2>"
        + html.code(lines)
        + '<p><a href="/docs">API</a> · <a href="/docs/problems">Codes</a> · <a href="/openapi.json">OpenAPI</a> · '
        '<a href="/readyz">Readiness</a> · <a href="/metrics">Metrics</a></p>'
    )


def _base(request: Request[Any, Any, Any]) -> str:
    return str(request.base_url).rstrip("/")


PAGE_ROUTES: Final = [openapi_json, docs, docs_problems, start]
