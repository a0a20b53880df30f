"""The analyst's task: find a series, zoom, see what is missing and why, and go from an instant to its story; typed,
clicked, dragged, pinched, and by the keyboard alone."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Response, expect

from tests.page.pumps import RANGE, fill_with_pumps
from tests.page.visits import PICTURES, Visits, axe, eventually, sideways
from tests.support.server import Server, running_server

FRAME_MS = 12
PAN = """async ([x, y]) => {
  const plot = document.querySelector("[role=application]");
  for (let n = 0; n < 5; n += 1) {
    const at = { pointerId: 1, clientX: x - 3 * n, clientY: y, bubbles: true };
    plot.dispatchEvent(new PointerEvent("pointermove", at));
    await new Promise((done) => requestAnimationFrame(done));
  }
}"""


@pytest.fixture(scope="module")
def pumps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with pumps and meters, and the ids of their series."""
    with running_server(tmp_path_factory.mktemp("pumps") / "data") as server:
        yield server, fill_with_pumps(server)


def chart(page: Page) -> Locator:
    """The plot, once its lines are there."""
    plot = page.get_by_role("application")
    expect(plot).to_be_visible(timeout=30_000)
    expect(page.locator("#status")).to_contain_text(re.compile("points"), timeout=30_000)
    expect(page.get_by_role("region", name="Chart")).to_have_attribute("aria-busy", "false", timeout=30_000)
    return plot


def path(ids: dict[str, str], *names: str, more: str = "") -> str:
    series = "&".join(f"s={ids[name]}" for name in names)
    return f"/explore?{series}&{RANGE}{more}"


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def hours(page: Page) -> float:
    """How many hours the range of the address bar has."""
    text = "(Date.parse(p.get('to')) - Date.parse(p.get('from'))) / 3600000"
    length: float = page.evaluate(f"(() => {{ const p = new URLSearchParams(location.search); return {text}; }})()")
    return length


def until_hours(page: Page, low: float, high: float) -> None:
    text = "(Date.parse(p.get('to')) - Date.parse(p.get('from'))) / 3600000"
    range_ = f"const p = new URLSearchParams(location.search); const h = {text}"
    eventually(page, f"(() => {{ {range_}; return h > {low} && h < {high}; }})()")


def drag(page: Page, plot: Locator, start: float, end: float, y: float = 0.4) -> None:
    """Drag over the plot from one share of its width to another."""
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + start * box["width"], box["y"] + y * box["height"])
    page.mouse.down()
    for share in (0.3, 0.7, 1.0):
        page.mouse.move(box["x"] + (start + share * (end - start)) * box["width"], box["y"] + y * box["height"])
    page.mouse.up()


def test_find_zoom_read_and_ask_why(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    """Typed, clicked and dragged: from an empty page to the story of a rejected record's instant."""
    server, ids = pumps
    page = visit(server.url).open("/explore")
    page.get_by_role("combobox", name=re.compile("Search series")).fill("p1 bar")
    page.get_by_role("option", name=re.compile(r"p1 · bar")).click()
    plot = chart(page)
    expect(page).to_have_title(re.compile("p1 · bar"))
    assert query(page)["s"] == [ids["p1 bar"]]
    expect(page.locator("#status")).to_contain_text("never received")
    expect(page.get_by_role("grid", name="Figures of the range")).to_contain_text("rejected")
    drag(page, plot, 0.6, 0.8)
    until_hours(page, 1, 4)
    drag(page, plot, 0.4, 0.7)
    until_hours(page, 0.2, 1.5)
    page.go_back()
    eventually(page, "!location.search.includes('from=')")  # one step back undoes both zooms
    chart(page)
    page.goto(server.url + path(ids, "p1 bar", more="&at=2026-03-10T08:00:30Z"))
    chart(page)
    readout = page.locator(".readout")
    expect(readout).to_contain_text("outside_range")
    expect(readout).to_contain_text(re.compile(r"\d+ of \d+ points"))
    why = readout.get_by_role("link", name="Why")
    assert f"series={ids['p1 bar']}" in (why.get_attribute("href") or "")
    why.click()
    expect(page).to_have_url(re.compile("/why"))


def test_the_keyboard_alone(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    server, _ = pumps
    page = visit(server.url).open("/explore")
    search = page.get_by_role("combobox", name=re.compile("Search series"))
    search.focus()
    page.keyboard.type("p1 bar")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    plot = chart(page)
    for _ in range(60):
        if page.evaluate("document.activeElement?.getAttribute('role')") == "application":
            break
        page.keyboard.press("Tab" if _ else "Home")
    plot.focus()
    page.keyboard.press("Home")
    expect(page.locator(".readout")).to_contain_text("10 Mar")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("n")
    expect(page.locator(".readout")).to_contain_text("rejected")
    expect(page.locator(".chart [aria-live]")).to_contain_text("rejected")
    before = hours_of_view(page)
    page.keyboard.press("+")
    eventually(page, "location.search.includes('from=')")
    assert hours(page) < before
    page.keyboard.press("0")
    eventually(page, "!location.search.includes('from=')")
    page.keyboard.press("m")
    expect(page.get_by_role("grid", name="Values")).to_be_visible()
    page.go_back()
    chart(page).focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/why"))


def hours_of_view(page: Page) -> float:
    """12 h are all there is: what is in view before any zoom."""
    return 12.5 if "from=" not in page.url else hours(page)


def test_no_line_is_drawn_over_a_gap(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    """No pixel of the line's colour stands between 04:00 and 05:00; many stand before."""
    server, ids = pumps
    page = visit(server.url, allowed=("willReadFrequently",)).open(path(ids, "p1 bar"))
    chart(page)
    page.wait_for_timeout(300)
    count = """([from, to]) => {
      const canvas = document.querySelector(".chart canvas");
      const ctx = canvas.getContext("2d");
      const left = 60 * devicePixelRatio, right = canvas.width - 26 * devicePixelRatio;
      const x = left + from * (right - left), w = Math.max(1, (to - from) * (right - left));
      const { data } = ctx.getImageData(x, 0, w, canvas.height - 60);
      const style = getComputedStyle(document.documentElement).getPropertyValue("--s1");
      const probe = document.createElement("canvas").getContext("2d");
      probe.fillStyle = style; probe.fillRect(0, 0, 1, 1);
      const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
      let n = 0;
      for (let i = 0; i < data.length; i += 4)
        if (Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 30) n += 1;
      return n;
    }"""
    assert page.evaluate(count, [0.2, 0.3]) > 30
    assert page.evaluate(count, [4.15 / 12, 4.85 / 12]) == 0


def test_shift_drag_wheel_and_double_click(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    server, ids = pumps
    page = visit(server.url).open(path(ids, "p1 bar"))
    plot = chart(page)
    page.keyboard.down("Shift")
    drag(page, plot, 0.7, 0.4)
    page.keyboard.up("Shift")
    eventually(page, "!location.search.includes('from=2026-03-10T00:00:00Z')")
    assert 11.9 < hours(page) < 12.1
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -240)
    page.keyboard.up("Control")
    until_hours(page, 2, 11)
    here = hours(page)
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + 100)
    until_hours(page, here * 1.8, here * 2.2)
    top = page.evaluate("scrollY")
    page.set_viewport_size({"width": 1280, "height": 500})
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.wheel(0, 200)
    eventually(page, f"scrollY > {top}")  # the wheel alone scrolls the page
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("scrollTo(0, 0)")


def test_fingers_pinch_pan_and_tap(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    server, ids = pumps
    browsing = visit(server.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = browsing.open(path(ids, "p1 bar"))
    plot = chart(page)
    devtools = browsing.context.new_cdp_session(page)
    box = plot.bounding_box()
    assert box
    y = box["y"] + 90

    def touch(kind: str, *shares: float) -> None:
        points = [{"x": box["x"] + share * box["width"], "y": y, "id": n} for n, share in enumerate(shares)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.45, 0.6)
    for step in range(1, 6):
        touch("touchMove", 0.45 - 0.03 * step, 0.6 + 0.03 * step)
    touch("touchEnd")
    until_hours(page, 2, 8)
    narrow, start = hours(page), query(page)["from"]
    touch("touchStart", 0.7)
    for step in range(1, 6):
        touch("touchMove", 0.7 - 0.05 * step)
    touch("touchEnd")
    eventually(page, f"!location.search.includes({start[0]!r})")
    assert abs(hours(page) - narrow) < 0.01
    expect(page.locator(".chart canvas")).to_be_visible()
    touch("touchStart", 0.55)
    touch("touchEnd")
    expect(page.locator(".readout.pinned")).to_be_visible()
    readout, below = page.locator(".readout").bounding_box(), page.locator(".stack").bounding_box()
    assert readout and below and readout["y"] >= below["y"] + below["height"]  # never under the finger
    assert sideways(page) == 0


def test_legend_and_axes(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    """A click isolates, Ctrl+click hides, eight are the most, and a third unit makes panes."""
    server, ids = pumps
    page = visit(server.url).open(path(ids, "p1 bar", "p2 bar", "m1 power"))
    chart(page)
    expect(page.locator(".pane")).to_have_count(1)
    first = page.get_by_role("button", name=re.compile("^p1 · bar"))
    second = page.get_by_role("button", name=re.compile("^p2 · bar"))
    first.click()
    expect(second).to_have_attribute("aria-pressed", "false")
    first.click()
    expect(second).to_have_attribute("aria-pressed", "true")
    first.click(modifiers=["Control"])
    expect(first).to_have_attribute("aria-pressed", "false")
    page.goto(server.url + path(ids, "p1 bar", "m1 power", "m1 temperature"))
    chart(page)
    expect(page.locator(".pane")).to_have_count(3)
    page.goto(server.url + path(ids, *(f"p{n} bar" for n in range(1, 9))))
    chart(page)
    page.get_by_role("combobox", name=re.compile("Search series")).fill("p9")
    page.get_by_role("option", name=re.compile("p9")).click()
    expect(page.get_by_role("alert")).to_contain_text("8 at most; narrow by tag")
    page.get_by_role("button", name="show the mean of the 1").click()
    expect(page.get_by_role("button", name="mean of 1", exact=True)).to_have_attribute("aria-pressed", "true")
    page.evaluate("scrollTo(0, 0)")


def test_bad_states_say_what_to_do(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    server, ids = pumps
    browsing = visit(server.url)
    page = browsing.open(f"/explore?s={ids['p1 bar']}&from=2019-05-01T00:00:00Z&to=2019-05-02T00:00:00Z&tz=UTC")
    expect(page.get_by_text("The nearest data:")).to_contain_text("10 Mar")
    page.get_by_role("button", name="Show it").click()
    expect(page.locator("#status")).not_to_contain_text("from 0 points")
    page.goto(f"{server.url}/explore?s={ids['p1 bar']}&y=sideways&show=lies")
    expect(page.get_by_role("alert").first).to_contain_text("show=lies")
    browsing.allow("answered 422", "status of 422")
    page.goto(server.url + path(ids, "p1 bar", more="&every=1us"))
    expect(page.get_by_role("list", name="Questions that can be answered").get_by_role("link")).to_have_count(3)
    page.get_by_role("list", name="Questions that can be answered").get_by_role("link").first.click()
    chart(page)


def test_take_it_along(visit: Visits, pumps: tuple[Server, dict[str, str]], tmp_path: Path) -> None:
    """A picture at twice the size, a file that the screen does not cut, and a link with absolute times."""
    server, ids = pumps
    browsing = visit(server.url)
    browsing.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = browsing.open(f"/explore?s={ids['p1 bar']}")
    plot = chart(page)
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert "from=2026-03-10T" in link and "tz=Europe/Zurich" in link
    assert "from=" not in page.url  # the address bar keeps what was chosen
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as picture:
        page.get_by_role("button", name=re.compile("Picture")).click()
    saved = tmp_path / "chart.png"
    picture.value.save_as(saved)
    width = int.from_bytes(saved.read_bytes()[16:20], "big")
    box = plot.bounding_box()
    assert box and width >= 2 * box["width"]
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as file:
        page.get_by_role("dialog").get_by_role("link", name="CSV").last.click()
    file.value.save_as(tmp_path / "points.csv")
    sent = page.evaluate("document.querySelector('[role=grid] tbody td:nth-child(6)').textContent")
    assert len((tmp_path / "points.csv").read_text().splitlines()) == int(sent.replace(",", "")) + 1


def test_a_change_of_theme_repaints(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    server, ids = pumps
    page = visit(server.url, allowed=("willReadFrequently",), color_scheme="light").open(path(ids, "p1 bar"))
    chart(page)
    sum_of = """(() => { const c = document.querySelector(".chart canvas");
      return c.getContext("2d").getImageData(0, 0, c.width, c.height).data.reduce((a, b) => a + b, 0); })()"""
    light = page.evaluate(sum_of)
    page.emulate_media(color_scheme="dark")
    eventually(page, f"{sum_of} !== {light}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_explore_at_every_width(visit: Visits, pumps: tuple[Server, dict[str, str]], scheme: str) -> None:
    server, ids = pumps
    page = visit(server.url, color_scheme=scheme).open(
        path(ids, "p1 bar", "p3 bar", "p7 bar", more="&at=2026-03-10T08:00:30Z")
    )
    for width in (360, 1280, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        chart(page)
        page.wait_for_timeout(400)
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"explore-shown-{width}-{scheme}.png", full_page=width > 640)
        assert sideways(page) == 0
        assert not axe(page)


def test_budgets(visit: Visits, pumps: tuple[Server, dict[str, str]]) -> None:
    """Scripts of Explore in 110 KB, and a frame of panning or zooming in 12 ms of the processor, by thread ticks."""
    server, ids = pumps
    browsing = visit(server.url)
    sizes: list[int] = []

    def weigh(answer: Response) -> None:
        if urlsplit(answer.url).path.endswith(".js"):
            sizes.append(int(answer.headers.get("content-length", "0")))

    browsing.context.on("response", weigh)
    page = browsing.open(path(ids, *(f"p{n} bar" for n in range(1, 9)), more="&every=36s"))
    plot = chart(page)
    page.wait_for_timeout(500)
    assert 0 < sum(sizes) < 110_000, sizes
    devtools = browsing.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def task_ms() -> float:
        metrics = {item["name"]: item["value"] for item in devtools.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"]) * 1000

    box = plot.bounding_box()
    assert box
    p95 = float("inf")
    for _ in range(5):  # what others do on the machine makes a try dearer, never cheaper
        p95 = min(p95, pan_frame_ms(page, box["x"] + 700, box["y"] + 100, task_ms))
        if p95 < FRAME_MS:
            break
    assert p95 < FRAME_MS
    chart(page)


def pan_frame_ms(page: Page, x: float, y: float, task_ms: Callable[[], float]) -> float:
    """The 95th percentile of the processor time of a frame, of 20 batches of a pan: five frames at a time, so that the
    rest of 120 ms, after which finer windows are asked for, does not come in between."""
    page.mouse.move(x, y)
    page.keyboard.down("Shift")
    page.mouse.down()
    frames: list[float] = []
    for batch in range(20):
        before = task_ms()
        page.evaluate(PAN, [x - 15 * batch, y])
        frames.append((task_ms() - before) / 5)
    page.mouse.up()
    page.keyboard.up("Shift")
    chart(page)
    return sorted(frames)[18]
