"""Admin: a key is made, copied, not lost by leaving, and revoked; retention is set; a proof is asked for."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.page.visits import PICTURES, Visits, axe, sideways, signed_in
from tests.support.server import Server

TABS = ("keys", "storage", "limits", "deletions", "replays", "parts")


def signed_in_at(visit: Visits, server: Server, secret: str, path: str) -> Page:
    _, page = signed_in(visit, server, secret)
    expect(page).to_have_url(re.compile(r"/$"))
    page.goto(server.url + path)
    return page


def test_a_key_is_made_kept_and_revoked(visit: Visits, keyed: tuple[Server, dict[str, str]]) -> None:
    server, secrets = keyed
    page = signed_in_at(visit, server, secrets["admin"], "/admin")
    keys = page.get_by_role("table", name="Keys")
    expect(keys.get_by_role("row", name=re.compile("an administrator"))).to_contain_text("yours")
    page.get_by_label("Name").fill("wall panel")
    page.get_by_role("button", name="Create the key").click()
    new = page.get_by_role("region", name="The new key")
    secret = new.locator("code").inner_text()
    answer = server.client.get("/v1/feeds", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    page.get_by_role("navigation", name="Pages", exact=True).get_by_role("link", name="Home").click()
    leaving = page.get_by_role("dialog", name="Leave without the key?")
    leaving.get_by_role("button", name="Stay").click()
    expect(new).to_contain_text(secret)
    new.get_by_role("button", name="I have kept it").click()
    expect(page.locator("body")).not_to_contain_text(secret)
    keys.get_by_role("button", name="Revoke wall panel").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke wall panel").click()
    expect(keys).not_to_contain_text("wall panel")
    assert server.client.get("/v1/feeds", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_a_reader_is_sent_to_sign_in(visit: Visits, keyed: tuple[Server, dict[str, str]]) -> None:
    server, secrets = keyed
    page = signed_in_at(visit, server, secrets["reader"], "/admin")
    expect(page.get_by_text("This needs a key with the scope admin.")).to_be_visible()
    expect(page.locator("main").get_by_role("link", name="Sign in")).to_be_visible()


def test_retention_is_set_as_a_version(visit: Visits, served: Server) -> None:
    before = next(row for row in served.client.get("/v1/limits").json()["retention"] if row["feed"] == "signals")
    page = visit(served.url).open("/admin?tab=limits")
    page.get_by_role("button", name="Change the retention of signals").click()
    dialog = page.get_by_role("dialog", name="Retention of signals")
    dialog.get_by_label("Keep points for").fill("900d")
    dialog.get_by_role("button", name="Keep points of signals for 900d").click()
    expect(page.get_by_role("grid", name="Retention by feed")).to_contain_text("900d")
    after = next(row for row in served.client.get("/v1/limits").json()["retention"] if row["feed"] == "signals")
    assert (after["points"], after["version"]) == ("900d", before["version"] + 1)


def test_retention_that_another_administrator_set_meanwhile_stays(visit: Visits, served: Server) -> None:
    """The version that was looked at is the condition of the change: 412 is said, and nothing is changed."""
    page = visit(served.url, allowed=("answered 412", "status of 412")).open("/admin?tab=limits")
    page.get_by_role("button", name="Change the retention of signals").click()
    changed = served.client.put("/v1/feeds/signals/retention", json={"points": "800d", "seal_rollups": False})
    assert changed.status_code == 200
    dialog = page.get_by_role("dialog", name="Retention of signals")
    dialog.get_by_label("Keep points for").fill("700d")
    dialog.get_by_role("button", name="Keep points of signals for 700d").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Another version is in force.")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("grid", name="Retention by feed")).to_contain_text("800d")
    after = next(row for row in served.client.get("/v1/limits").json()["retention"] if row["feed"] == "signals")
    assert after["points"] == "800d"


def test_a_proof_is_asked_for_and_followed(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/admin?tab=parts")
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_role("region", name="Last proof")).to_contain_text(
        "Everything is accounted for.", timeout=60_000
    )
    page.get_by_role("link", name="Replays and jobs").click()
    jobs = page.get_by_role("table", name="Jobs")
    expect(jobs.get_by_role("row", name=re.compile("Verification of everything")).first).to_contain_text("it adds up")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_tab_at_every_width(visit: Visits, served: Server, scheme: str) -> None:
    page = visit(served.url, color_scheme=scheme).open("/admin")
    Path(PICTURES).mkdir(parents=True, exist_ok=True)
    for tab in TABS:
        page.goto(f"{served.url}/admin?tab={tab}")
        for width in (360, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(400)
            page.screenshot(path=PICTURES / f"admin-{tab}-{width}-{scheme}.png", full_page=True)
            assert sideways(page) == 0, f"{tab} is {sideways(page)} px too wide at {width}"
            assert not axe(page), tab
