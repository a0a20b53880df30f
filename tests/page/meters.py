"""Two meters as a metering service answers them: quarter hours of two weeks, taken from the grid and given to it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.support.server import Server

HOUSE: Final = "0c5d4ad6-6cbf-4a52-9a43-6f0d6b1a9d11"
ROOF: Final = "7f2f9f0e-35a1-4f0e-9f0b-2f6f0d1c8a22"
IMPORT: Final = "0100011D00FF"
FEED_IN: Final = "0100021D00FF"
START: Final = datetime(2026, 3, 1, 23, tzinfo=UTC)  # midnight in Zurich, of a Monday
DAYS: Final = 14
NIGHT_WH: Final = 25  # a quarter hour before 08:00 in Zurich
DAY_WH: Final = 100


def house_wh(n: int) -> int:
    """What the house takes in a quarter hour, counted from the start; an hour has four times the usual."""
    day, quarter = divmod(n, 96)
    usual = DAY_WH if quarter >= 32 else NIGHT_WH
    more = (7 * day + 3 * (quarter // 4)) % 11
    return usual + (more if quarter % 2 == 0 else -more)


def roof_wh(quarter: int) -> int:
    """What the roof gives: nothing at night, most at noon."""
    return max(0, 400 - 20 * abs(quarter - 48))


def fill_with_meters(server: Server) -> dict[str, str]:
    """Send both meters; the ids of their series by name: house, roof."""
    rows = []
    for n in range(DAYS * 96):
        at = (START + timedelta(minutes=15 * n)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        for muid, registers in (
            (HOUSE, {IMPORT: house_wh(n)}),
            (ROOF, {IMPORT: 1, FEED_IN: roof_wh(n % 96)}),
        ):
            tags = {"muid": muid, "quality": "measured"}
            amounts = {register: amount / 1000 for register, amount in registers.items()}
            rows.append({"measurement": "energy", "timestamp": at, "tags": tags} | amounts)
    for begin in range(0, len(rows), 600):
        body = json.dumps({"data": rows[begin : begin + 600]})
        headers = {"Content-Type": "application/json", "Prefer": "wait=30"}
        answer = server.client.post("/v1/feeds/meters", content=body, headers=headers)
        assert answer.status_code < 300, answer.text
    ids = {}
    for item in server.client.get("/v1/series", params={"feed": "meters"}).json()["items"]:
        name = "house" if item["tags"]["muid"] == HOUSE else "roof" if item["field"] == FEED_IN else "roof import"
        ids[name] = item["id"]
    return ids
