"""A day of three pumps for the pictures of the README: an hour that is missing, records that are rejected, and some of
them that a mended rule recovers."""

import json
import math
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

DEFINITION = """name = "pumps"
title = "Plant 2, pressure"

[time]
path = "$.t"

[tags.pump]
path = "$.pump"

[fields.bar]
path = "$.bar"
unit = "bar"

[rollups]
every = "1m"
interval = "15s"

[[rules]]
check = "range"
options = { field = "bar", max = 7.5 }
"""
PUMPS = {"p1": (5.2, 0.35, 0.0), "p2": (6.3, 0.55, 1.1), "p3": (4.3, 0.45, 2.3)}
EVERY_S = 15
GAP = (10.25, 11.3)  # hours of the day, as the two below
TOO_HIGH = {14.70: 8.2, 6.5: 8.9}  # the first is recovered, the second is not


def send(url: str) -> dict[str, str]:
    """Send the day, mend the rule, replay what it had rejected at 14:42; the paths of Explore and of Why."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    _ask(url, "PUT", "/v1/feeds/pumps", DEFINITION)
    lines = "\n".join(json.dumps(record) for record in _records(day))
    _ask(url, "POST", "/v1/feeds/pumps", lines, {"Content-Type": "application/x-ndjson", "Prefer": "wait=120"})
    _ask(url, "PUT", "/v1/feeds/pumps", DEFINITION.replace("max = 7.5", "max = 8.5"))
    instant = (day + timedelta(hours=14.7)).isoformat().replace("+00:00", "Z")
    end = (day + timedelta(hours=14.8)).isoformat().replace("+00:00", "Z")
    search = urlencode({"feed": "pumps", "time_start": instant, "time_end": end})
    rejected = _ask(url, "GET", f"/v1/rejections?{search}")["items"]
    items = [{"receipt": item["receipt"], "index": item["index"]} for item in rejected]
    body = {"feed": "pumps", "rejections": {"items": items}}
    replay = _ask(url, "POST", "/v1/replays", json.dumps(body), {"Content-Type": "application/json"})
    while replay["state"] not in ("done", "failed", "cancelled"):
        time.sleep(0.5)
        replay = _ask(url, "GET", f"/v1/replays/{replay['id']}")
    series = [item["id"] for item in _ask(url, "GET", "/v1/series?feed=pumps&extent=false")["items"]][: len(PUMPS)]
    range_ = {"from": day.date().isoformat(), "to": (day + timedelta(days=1)).date().isoformat(), "tz": "UTC"}
    why = {"feed": "pumps", "tag.pump": "p1", "field": "bar", "time": instant, "tz": "UTC"}
    return {
        "explore": f"/explore?{urlencode([('s', one) for one in series])}&{urlencode(range_)}",
        "why": f"/why?{urlencode(why)}",
    }


def _records(day: datetime) -> list[dict[str, Any]]:
    noise = Random(7)  # the same day every time
    records: list[dict[str, Any]] = []
    for n in range(86_400 // EVERY_S):
        hour = n * EVERY_S / 3600
        if GAP[0] <= hour < GAP[1]:
            continue
        for pump, (level, swing, phase) in PUMPS.items():
            drift = math.sin(hour / 3.1 + phase) + 0.4 * math.sin(hour * 1.9 + 2 * phase)
            bar = level + swing * drift + noise.gauss(0, 0.05)
            high = next((value for start, value in TOO_HIGH.items() if start <= hour < start + 0.03), None)
            if pump == "p1" and high is not None:
                bar = high
            records.append({"t": (day + timedelta(hours=hour)).isoformat(), "pump": pump, "bar": round(bar, 2)})
    return records


def _ask(url: str, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Any:
    request = Request(url + path, body.encode() if body is not None else None, headers or {}, method=method)
    with urlopen(request, timeout=180) as answer:
        return json.load(answer)
