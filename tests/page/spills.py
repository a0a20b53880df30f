"""A server whose ledger holds some of everything: pumps with values outside a range, a duplicate, a flagged jump, a
missing member, a payload that is refused, and one rejection that a replay recovered."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.support.server import Server

DEFINITION: Final = """name = "pumps"
title = "Pumps of the waterworks"
duplicates = "first"
[time]
path = "$.t"
[tags.pump]
path = "$.pump"
[fields.bar]
path = "$.bar"
unit = "bar"
[[rules]]
check = "range"
options = {{ field = "bar", min = 0, max = {most} }}
[[rules]]
check = "step"
action = "flag"
options = {{ field = "bar", max_change = 4 }}
[[rules]]
check = "late"
options = {{ field = "bar", behind = "2h" }}
[rollups]
every = "1m"
interval = "30s"
"""
START: Final = datetime(2026, 3, 10, 6, tzinfo=UTC)
HOURS: Final = 6
RANGE: Final = "from=2026-03-10T06:00:00Z&to=2026-03-10T12:00:00Z&tz=UTC&by=time"
HIGH: Final = {("p1", 282): 12.4, ("p1", 281): 11.9, ("p1", 280): 12.8, ("p4", 279): 10.3, ("p1", 90): 9.6} | {
    ("p4", minute): 10.5 + minute % 5 / 10 for minute in range(96, 112)
}
"""Values that are out of the usual, most of them above 10 bar, by pump and minute."""
HIGH_AT: Final = "2026-03-10T10:42:00Z"
REPLACED: Final = ("p2", 300)


def fill_the_ledger(server: Server) -> str:
    """Sends everything; the id of the series `p1 bar`."""
    _define(server, 10)
    records = [_record(pump, minute) for minute in range(HOURS * 60) for pump in ("p1", "p2", "p3", "p4")]
    for first in range(0, len(records), 12):
        _send(server, records[first : first + 12], wait=first + 12 >= len(records))
    again = _record(*REPLACED)
    _send(server, [again, again | {"bar": 5.9}])
    _refuse(server, [{"t": _at(120), "pump": "p3"}, {"t": "half past ten", "pump": "p3", "bar": 4.4}])
    _refuse(server, [_record("p3", 150) | {"bar": "high"}])
    _send(server, [_record("p9", 290) | {"bar": 10.6}])
    _send(server, [_record("p2", minute) | {"t": _at(minute, 30)} for minute in (30, 31, 40)])
    _define(server, 10.4)
    _replay(server)
    found = server.client.get("/v1/series", params={"feed": "pumps", "tag.pump": "p1"}).json()["items"]
    series: str = found[0]["id"]
    return series


def _define(server: Server, most: float) -> None:
    answer = server.client.put("/v1/feeds/pumps", content=DEFINITION.format(most=most))
    assert answer.status_code in (200, 201), answer.text


def _record(pump: str, minute: int) -> dict[str, object]:
    usual = 4 + int(pump[1]) / 5 + (minute % 17) / 20
    return {"t": _at(minute), "pump": pump, "bar": round(HIGH.get((pump, minute), usual), 3)}


def _at(minute: int, second: int = 0) -> str:
    return (START + timedelta(minutes=minute, seconds=second)).isoformat()


def _send(server: Server, records: list[dict[str, object]], wait: bool = True) -> None:
    headers = {"Content-Type": "application/json"} | ({"Prefer": "wait=60"} if wait else {})
    answer = server.client.post("/v1/feeds/pumps", content=json.dumps(records), headers=headers, timeout=90)
    assert answer.status_code < 300, answer.text


def _refuse(server: Server, records: list[dict[str, object]]) -> None:
    answer = server.client.post("/v1/feeds/pumps", json=records)
    assert answer.status_code == 400, answer.text


def _replay(server: Server) -> None:
    """Put the record of 10.3 bar through version 2: it is recovered."""
    items = server.client.get("/v1/rejections", params={"feed": "pumps", "reason": "outside_range"}).json()["items"]
    one = next(item for item in items if item["values"]["bar"] == 10.3)
    selection = {"items": [{"receipt": one["receipt"], "index": one["index"]}]}
    asked = {"feed": "pumps", "version": 2, "rejections": selection}
    headers = {"Prefer": "wait=60"}
    answer = server.client.post("/v1/replays", json=asked, headers=headers, timeout=90)
    assert answer.status_code < 300, answer.text
    deadline = time.monotonic() + 60
    while server.client.get(f"/v1/replays/{answer.json()['id']}").json()["state"] != "done":
        assert time.monotonic() < deadline, "the replay is not done"
        time.sleep(0.1)
