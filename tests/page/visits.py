"""Pages that are watched: whatever goes wrong in one is remembered, and fails the test at its end."""

import json
import re
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, Request, Response, expect

from tests.support.server import Server

ROOT: Final = Path(__file__).parents[2]
AXE: Final = ROOT / "ui/node_modules/axe-core/axe.min.js"
PICTURES: Final = ROOT / "build/screenshots"
AXE_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WATCH: Final = """
window.violations = [];
window.shift = 0;
window.shifted = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    window.shift += entry.value;
    for (const { node, previousRect, currentRect } of entry.sources)
      window.shifted.push(`${entry.value.toFixed(4)} ${(node?.outerHTML ?? node?.textContent ?? "").slice(0, 90)} `
        + `from ${JSON.stringify(previousRect)} to ${JSON.stringify(currentRect)}`);
  }
}).observe({ type: "layout-shift", buffered: true });
addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
RUN_AXE: Final = """async (tags) => {
  const found = await axe.run(document, { runOnly: { type: "tag", values: tags } });
  return found.violations.map((one) => `${one.id} (${one.impact}): ${one.help}: `
    + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | "));
}"""


def page_is_built() -> bool:
    return (ROOT / "src/tidemill/ui_dist/index.html").is_file() and AXE.is_file()


class Visit:
    """One page in a browser context of its own (cookies, storage), on one server."""

    def __init__(self, context: BrowserContext, url: str, allowed: tuple[str, ...]) -> None:
        self.context, self.url = context, url
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._allowed = [re.compile(text) for text in allowed]
        context.on("request", self._asked)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)
        context.on("console", lambda message: self._said(message.type, message.text))
        context.on("weberror", lambda error: self._note(f"error in the page: {error.error}"))
        context.add_init_script(WATCH)
        self.page: Page = context.new_page()

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def another(self, path: str) -> Page:
        """A second tab of the same browser."""
        page = self.context.new_page()
        page.goto(self.url + path)
        return page

    def allow(self, *patterns: str) -> None:
        """From here on these faults are what the test is about."""
        self._allowed += [re.compile(text) for text in patterns]

    def check(self) -> None:
        """Faults of all its pages, with what axe and the policy say of what they show now."""
        for page in self.context.pages:
            self.faults += [f"policy violated: {text}" for text in page.evaluate("window.violations ?? []")]
            self.faults += [f"axe: {text}" for text in axe(page)]
        assert not self.faults, "\n".join(self.faults)

    def _note(self, fault: str) -> None:
        if not any(pattern.search(fault) for pattern in self._allowed):
            self.faults.append(fault)

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((self.url, "data:", "blob:")):
            self._note(f"foreign request: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # given up by the page itself, or with it
            self._note(f"failed request: {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self._note(f"answered {response.status}: {response.request.method} {response.url}")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self._note(f"console {kind}: {text}")


class Visits:
    """Makes visits; `close` checks all of them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._made: list[Visit] = []

    def __call__(self, url: str, *, allowed: tuple[str, ...] = (), **options: Any) -> Visit:
        """A new browser context: `options` are those of Playwright (`viewport`, `color_scheme`, ...)."""
        options = {
            "viewport": {"width": 1280, "height": 900},
            "timezone_id": "Europe/Zurich",
            "locale": "en-GB",
        } | options
        made = Visit(self._browser.new_context(**options), url, allowed)
        made.context.set_default_timeout(30_000)
        self._made.append(made)
        return made

    def close(self) -> None:
        try:
            for made in self._made:
                made.check()
        finally:
            for made in self._made:
                made.context.close()


def signed_in(visit: Visits, server: Server, secret: str) -> tuple[Visit, Page]:
    """A visit of its own that signed in with a key on the sign-in page, and its page."""
    browsing = visit(server.url)
    page = browsing.open("/sign-in")
    page.get_by_label("Key", exact=True).fill(secret)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Sign in")
    return browsing, page


def axe(page: Page) -> list[str]:
    """What axe-core finds in what the page shows now, a sentence each. It is asked at the page's begin: a link that
    is scrolled half below the bar at the top would count as too small to touch."""
    if page.url == "about:blank":
        return []
    page.locator("main h1").wait_for(state="attached")
    if page.evaluate("window.axe === undefined"):
        page.evaluate(AXE.read_text() + "; undefined")
    scrolled = page.evaluate("scrollY")
    page.evaluate("scrollTo(0, 0)")
    found: list[str] = page.evaluate(RUN_AXE, AXE_TAGS)
    page.evaluate(f"scrollTo(0, {scrolled})")
    return found


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window: 0 unless something sticks out."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


def eventually(page: Page, expression: str, timeout_s: float = 60) -> None:
    """Wait until an expression is true in the page; asked from here, as the policy of the page bars what is evaluated
    within it."""
    deadline = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        page.wait_for_timeout(100)


def stored(page: Page) -> str:
    """All that scripts of the page can read of what the browser keeps."""
    return json.dumps(page.evaluate("[document.cookie, {...localStorage}, {...sessionStorage}]"))
