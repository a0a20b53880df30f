"""Every worked answer of the how-to page gives the points that its table lists, on a server."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api

PAGE = Path(__file__).parents[2] / "docs/how-to/from-an-answer-to-a-feed.md"
Row = tuple[str, str, str, float]


def sections() -> list[tuple[str, str, str, list[Row]]]:
    """(heading, answer, feed, rows of the table) of each worked answer."""
    worked = []
    for part in PAGE.read_text("utf-8").split("\n## ")[1:]:
        blocks = dict(re.findall(r"```(json|toml)\n(.*?)```", part, re.DOTALL))
        if "json" in blocks:
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*", part, re.M)]
            rows = [(time, tags, field, float(value)) for time, tags, field, value in cells[2:]]
            worked.append((part.partition("\n")[0], blocks["json"], blocks["toml"], rows))
    return worked


def stored_points(api: Api, feed: str) -> list[Row]:
    """Every point of a feed, with its series' tags and field."""
    series: list[dict[str, Any]] = api.client.get("/v1/series", params={"feed": feed}).json()["items"]
    rows = []
    for known in series:
        tags = " ".join(f"{key}={value}" for key, value in sorted(known["tags"].items()))
        points = api.client.get(f"/v1/series/{known['id']}/points").json()["items"]
        rows += [(point["time"], tags, known["field"], point["value"]) for point in points]
    return rows


def test_there_are_ten_worked_answers() -> None:
    assert len(sections()) == 10


@pytest.mark.parametrize(("answer", "feed", "rows"), [pytest.param(*s[1:], id=s[0]) for s in sections()])
def test_the_answer_gives_the_points_of_the_table(whole: Api, answer: str, feed: str, rows: list[Row]) -> None:
    name = re.search(r'^name = "(.*)"', feed, re.MULTILINE)
    assert name is not None
    applied = whole.client.put(f"/v1/feeds/{name[1]}", content=feed)
    assert applied.status_code in (200, 201), applied.text
    sent = whole.client.post(f"/v1/feeds/{name[1]}", content=answer, headers={"Prefer": "wait=10"})
    assert (sent.status_code, sent.json()["state"]) == (200, "applied"), sent.text
    assert sorted(stored_points(whole, name[1])) == sorted(rows)
