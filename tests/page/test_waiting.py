"""What must wait, and what is longer than one answer: a question is asked again as the server says, three times; all
records of a sample can be looked at."""

import re
import time
from itertools import pairwise

import pytest
from playwright.sync_api import Route, expect

from tests.page.visits import Visits
from tests.support.server import Server


@pytest.mark.parametrize("status", [503, 429])
def test_a_question_is_asked_again_as_the_server_says(visit: Visits, served: Server, status: int) -> None:
    browsing = visit(served.url, allowed=(f"answered {status}", f"status of {status}"))
    page = browsing.page
    asked: list[float] = []
    times = 1

    def answer(route: Route) -> None:
        asked.append(time.monotonic())
        if len(asked) > times:
            route.continue_()
            return
        body = '{"title": "The answer waits", "detail": "Too much is asked now.", "code": "unavailable"}'
        route.fulfill(
            status=status, headers={"Retry-After": "3", "Content-Type": "application/problem+json"}, body=body
        )

    page.route(re.compile("/v1/feeds\\?"), answer)
    browsing.open("/feeds")
    said = page.get_by_role("alert").filter(has_text="Too much is asked now.")
    expect(said.locator("..").get_by_text("It is asked again")).to_be_visible()
    expect(said).not_to_contain_text("It is asked again")  # an alert that changes is read out each second
    expect(page.get_by_role("row").filter(has_text="dropzone")).to_be_visible()
    expect(page.get_by_text("Too much is asked now.")).to_have_count(0)
    gaps = [later - earlier for earlier, later in pairwise(asked[: times + 1])]
    assert len(gaps) == times and min(gaps) > 2.9, f"it waits as long as it was told: {gaps}"


def test_all_records_of_a_sample_can_be_looked_at(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/feeds/dropzone?tab=definition")
    expect(page.get_by_role("textbox", name="Definition of dropzone")).to_contain_text("name")
    lines = "\n".join(f'{{"time_stamp": "2026-01-01T00:{n // 60:02}:{n % 60:02}Z", "data": [{n}]}}' for n in range(450))
    page.locator("input[type=file]").set_input_files(
        {"name": "many.ndjson", "mimeType": "application/x-ndjson", "buffer": lines.encode()}
    )
    verdicts = page.get_by_role("region", name="Verdicts")
    expect(verdicts).to_contain_text("The first 200 of 450 records")
    verdicts.get_by_role("button", name="200 more").click()
    expect(verdicts).to_contain_text("The first 400 of 450 records")
    verdicts.get_by_role("button", name="50 more").click()
    expect(verdicts.locator("button.record")).to_have_count(450)
    expect(verdicts).not_to_contain_text("The first")
