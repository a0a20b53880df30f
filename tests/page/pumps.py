"""A server with pumps for the tests of Explore: a gap, rejected records, a flagged point, and meters of other units."""

import json
import math
from datetime import UTC, datetime, timedelta

from tests.support.server import Server

PUMPS = """
name = "pumps"
[time]
path = "$.t"
[tags.pump]
path = "$.pump"
[fields.bar]
path = "$.bar"
unit = "bar"
[[rules]]
check = "range"
options = { field = "bar", min = 0, max = 10 }
[rollups]
every = "1m"
interval = "15s"
"""
METERS = """
name = "meters"
[time]
path = "$.t"
[tags.meter]
path = "$.meter"
[fields.power]
path = "$.power"
unit = "W"
[fields.temperature]
path = "$.temperature"
unit = "Cel"
"""
START = datetime(2026, 3, 10, tzinfo=UTC)
HOURS = 12
STEP_S = 15
GAP = (4.0, 5.0)
REJECTED_AT = 8.0
RANGE = "from=2026-03-10T00:00:00Z&to=2026-03-10T12:00:00Z&tz=UTC"


def fill_with_pumps(server: Server) -> dict[str, str]:
    """Sends some of everything, and gives the ids of the series by tag and field: `p1 bar`, `m1 power`."""
    for name, feed in (("pumps", PUMPS), ("meters", METERS)):
        answer = server.client.put(f"/v1/feeds/{name}", content=feed)
        assert answer.status_code in (200, 201), answer.text
    _send(server, "pumps", [record for hour in range(HOURS) for record in _pumps(hour)])
    meters = [
        {"t": _at(hour), "meter": "m1", "power": 800 + 10 * hour, "temperature": 20 + hour / 10}
        for hour in range(HOURS)
    ]
    _send(server, "meters", meters)
    found = server.client.get("/v1/series", params={"limit": 100}).json()["items"]
    return {f"{next(iter(item['tags'].values()))} {item['field']}": item["id"] for item in found}


def _pumps(hour: int) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    for n in range(3600 // STEP_S):
        at = hour + n * STEP_S / 3600
        if GAP[0] <= at < GAP[1]:
            continue
        for pump in range(1, 10):
            bar = 3 + pump / 4 + math.sin(at + pump) / 3
            if pump == 1 and REJECTED_AT <= at < REJECTED_AT + 0.02:
                bar = 12.4
            records.append({"t": _at(at), "pump": f"p{pump}", "bar": round(bar, 3)})
    return records


def _at(hour: float) -> str:
    return (START + timedelta(hours=hour)).isoformat()


def _send(server: Server, feed: str, records: list[dict[str, object]]) -> None:
    for first in range(0, len(records), 5000):
        body = "\n".join(json.dumps(record) for record in records[first : first + 5000])
        headers = {"Content-Type": "application/x-ndjson", "Prefer": "wait=60"}
        answer = server.client.post(f"/v1/feeds/{feed}", content=body, headers=headers, timeout=90)
        assert answer.status_code < 300, answer.text
