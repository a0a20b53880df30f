"""The meters job: from Home to what a meter is in two clicks, a card a question, and the cost of a tariff by hand."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.meters import fill_with_meters
from tests.page.visits import PICTURES, Visits, axe, sideways
from tests.support.server import Server, running_server

CARDS = {
    "What it is": "looks like",
    "Over time": "beside|windows",
    "Distribution": "Half of the",
    "Hours of the week": "Highest on",
    "Calendar": "14 days with values",
    "Load duration": "of the 336 hours",
    "Autocorrelation": "It repeats every day",
    "Spectrum": "The strongest line",
    "Trend, seasons, rest": "Of the variation",
    "Forecast": "of the past it was off by|It is constant",
    "Changes and unusual values": "The level",
}
TARIFF = "CHF;0.20;0.30@1-5@06:00-22:00"


@pytest.fixture(scope="module")
def meters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with two weeks of two meters, and the ids of their series."""
    with running_server(tmp_path_factory.mktemp("meters") / "data") as server:
        yield server, fill_with_meters(server)


def card(page: Page, title: str) -> Locator:
    """A card, scrolled to, which is what makes it ask."""
    region = page.get_by_role("region", name=title, exact=True)
    region.scroll_into_view_if_needed()
    return region


def test_two_clicks_from_home_to_what_a_meter_is(visit: Visits, meters: tuple[Server, dict[str, str]]) -> None:
    server, ids = meters
    page = visit(server.url).open("/")
    page.get_by_role("link", name="What is it? meters").click()
    page.get_by_role("navigation", name="Series of meters").get_by_role("link", name="7f2f9f0e · feed-in").click()
    expect(page).to_have_url(re.compile(f"/analyse/{ids['roof']}"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("7f2f9f0e · feed-in")
    expect(card(page, "What it is")).to_contain_text("solar generation", timeout=30_000)
    over_time = card(page, "Over time")
    expect(over_time).to_contain_text("beside", timeout=30_000)
    expect(over_time.get_by_text("7f2f9f0e · import").first).to_be_visible()


def test_every_card_says_its_answer_in_a_sentence(visit: Visits, meters: tuple[Server, dict[str, str]]) -> None:
    server, ids = meters
    page = visit(server.url).open(f"/analyse/{ids['house']}")
    for title, sentence in CARDS.items():
        shown = card(page, title)
        expect(shown).to_contain_text(re.compile(sentence), timeout=60_000)
        expect(shown.get_by_role("alert")).to_have_count(0)
        expect(shown.locator(".curl")).to_contain_text("curl")
    heat = page.get_by_role("grid", name="Means by hour and weekday")
    expect(heat.get_by_role("gridcell").filter(has_text=re.compile(r"^Mon 12 to 13 h: 0\.1 kWh"))).to_have_count(1)


def test_a_card_asks_only_once_it_is_near(visit: Visits, meters: tuple[Server, dict[str, str]]) -> None:
    server, ids = meters
    visited = visit(server.url)
    page = visited.open(f"/analyse/{ids['house']}")
    expect(card(page, "What it is")).to_contain_text("looks like", timeout=30_000)
    assert not [url for url in visited.requests if "/forecast" in url]
    expect(card(page, "Forecast")).to_contain_text("of the past", timeout=60_000)
    assert [url for url in visited.requests if "/forecast" in url]


def test_windows_of_the_meters_zone_are_in_the_url(visit: Visits, meters: tuple[Server, dict[str, str]]) -> None:
    server, ids = meters
    page = visit(server.url).open(f"/analyse/{ids['roof']}?tz=Europe/Zurich")
    for word, every, windows in (("15 min", "15m", 1344), ("Hour", "1h", 336), ("Day", "1d", 14), ("Week", "1w", 2)):
        page.get_by_role("group", name="Group by").get_by_role("button", name=word, exact=True).click()
        expect(page).to_have_url(re.compile(f"every={every}"))
        expect(card(page, "Over time")).to_contain_text(f"in {windows:,} windows", timeout=30_000)


def test_what_cannot_be_answered_leaves_the_other_cards(visit: Visits, meters: tuple[Server, dict[str, str]]) -> None:
    """Two weekly windows are too few for a forecast; the card says what is needed, and the next ones go on."""
    server, ids = meters
    page = visit(server.url, allowed=("answered 4", "console error")).open(f"/analyse/{ids['house']}?every=1w")
    needs = card(page, "Forecast").locator(".needs, [role=alert]")
    expect(needs).to_be_visible(timeout=30_000)
    expect(card(page, "Energy cost")).to_contain_text("Price of a kWh")


def test_the_cost_of_a_tariff_is_what_it_is_by_hand(visit: Visits, meters: tuple[Server, dict[str, str]]) -> None:
    """A weekday: 5.8 kWh at 0.30 (2 h of 0.1 kWh and 14 h of 0.4 kWh) and 1.4 kWh at 0.20 are 2.02 CHF; a day of the
    weekend: 7.2 kWh at 0.20 are 1.44 CHF. Ten and four of them: 25.96 CHF."""
    server, ids = meters
    page = visit(server.url).open(f"/analyse/{ids['house']}?tz=Europe/Zurich")
    cost = card(page, "Energy cost")
    cost.get_by_label("Price of a kWh").fill("0.20")
    cost.get_by_label("Window 1: price").fill("0.30")
    cost.get_by_role("button", name="Compute the cost").click()
    expect(page).to_have_url(re.compile("tariff=CHF"))
    table = card(page, "Energy cost").get_by_role("table", name="Cost by month")
    expect(table.get_by_role("row", name=re.compile("Mar 2026"))).to_contain_text("25.96 CHF", timeout=30_000)
    expect(table.get_by_role("row", name=re.compile("Mar 2026"))).to_contain_text("58.000 kWh")
    expect(table.get_by_role("row", name=re.compile("Total"))).to_contain_text("42.800 kWh")
    page.reload()
    expect(card(page, "Energy cost")).to_contain_text("100.800 kWh in 1 month cost 25.96 CHF", timeout=30_000)


def test_two_periods_and_two_series_beside_each_other(visit: Visits, meters: tuple[Server, dict[str, str]]) -> None:
    server, ids = meters
    # Before the two weeks nothing came: the second comparison says so.
    page = visit(server.url, allowed=("answered 422", "console error")).open(f"/analyse/{ids['house']}?part=comparison")
    card(page, "Comparison").get_by_label("With the series").select_option(ids["roof"])
    expect(page).to_have_url(re.compile(f"with={ids['roof']}"))
    sides = page.get_by_role("table", name="Both sides")
    expect(sides.get_by_role("row", name=re.compile("Total"))).to_contain_text("100.8 kWh", timeout=30_000)
    card(page, "Comparison").get_by_label("With the series").select_option("")
    card(page, "Comparison").get_by_role("button", name="4 weeks and the 4 before").click()
    expect(page).to_have_url(re.compile("with_from="))


def test_a_figure_is_read_by_keys_and_as_a_table(visit: Visits, meters: tuple[Server, dict[str, str]]) -> None:
    server, ids = meters
    page = visit(server.url).open(f"/analyse/{ids['house']}")
    shown = card(page, "Load duration")
    plot = shown.get_by_role("application")
    expect(plot).to_be_visible(timeout=30_000)
    plot.focus()
    page.keyboard.press("Home")
    expect(shown.locator("[aria-live]")).to_contain_text(re.compile(r"0.% of the time, at least 0\.11 kWh"))
    page.keyboard.press("m")
    expect(shown.get_by_role("grid")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(visit: Visits, meters: tuple[Server, dict[str, str]], scheme: str) -> None:
    server, ids = meters
    page = visit(server.url, color_scheme=scheme).open(f"/analyse/{ids['house']}?with={ids['roof']}&tariff={TARIFF}")
    for title, sentence in CARDS.items():
        expect(card(page, title)).to_contain_text(re.compile(sentence), timeout=60_000)
    expect(card(page, "Energy cost")).to_contain_text("25.96", timeout=30_000)
    Path(PICTURES).mkdir(parents=True, exist_ok=True)
    for width in (360, 1280, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / f"analyse-{width}-{scheme}.png", full_page=True)
        assert sideways(page) == 0, f"{sideways(page)} px too wide at {width}"
        assert not axe(page)
