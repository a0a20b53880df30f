"""Every operation has an example of a request and of its answer in the OpenAPI document: what a server answered here.

They are kept in `api/examples.json`. `make docs` runs this with TIDEMILL_TEST_WRITE_EXAMPLES=1, which writes the file.
No mill runs while they are made, so that nothing changes meanwhile; ids, times and measures are made stable.
"""

import json
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import pytest

import tidemill.api
from tests.support.api import Api, running_api, running_mill, running_worker
from tidemill.api.app import Document
from tidemill.catalog.keys import create_key
from tidemill.store.migrate import migrate

FILE = Path(tidemill.api.__file__).parent / "examples.json"
DOCUMENT = json.loads(json.dumps(Document().data))
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
KEPT_ITEMS = 2  # of a list in an answer
STARTED = datetime.now(UTC) - timedelta(days=1)
TIME = "2026-01-31T12:00:00Z"  # in place of the times at which things happened here
# What differs from one run to the next, and what stands in its place.
STEADY: dict[str, Any] = {
    "took_ms": 2.5,
    "erased_at": None,
    "state": {"erased": "applied", "silent": "idle", "stopped": "idle", "applying": "idle"},
    "stalled_s": 0.0,
    "disk_free_bytes": 1 << 36,
    "free_bytes": 1 << 36,
    "applied_seq": 9,
    "applied": 9,
    "lag": 0,
    "commits": "9",
    "wal_bytes": "16512",
    "size_bytes": 53376,
    "secret": "tm_example-of-a-key-that-opens-nothing-at-all-0001",
    "csrf": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "log_bytes": 53376,
    "store_bytes": 90112,
    "point_rows": 112,
    "acknowledged": 6,
    "p50_ms": 0.592,
    "p99_ms": 6.224,
    "heartbeat_s": 0.105,
    "lag_s": 0.0,
    "took_s": 0.305,
    "age_s": 0.073,
    "versions": {"tidemill": "0.1.0", "python": "3.12.8", "log": "sqlite 3.54.1", "store": "26.9.2.1"},
}
LINE = "cpu,host=web-1 usage=12.5,idle=87i 1767225600000000000\n"
PUMPS = """name = "pumps"

[time]
path = "$.time"

[tags.pump]
path = "$.pump"

[fields.pressure]
path = "$.pressure"
unit = "bar"

[[rules]]
check = "range"
options = { field = "pressure", min = 0, max = 16 }

[rollups]
every = "1h"
interval = "15m"
"""
NOON = "2025-06-01T12:00:00Z"
READING = {"time": NOON, "pump": "p1", "pressure": 4.25}
ROW = {"time_stamp": NOON, "data": [0.37, 1.58, 2.11]}
FIX = {"timestamp": "2017-01-01 13:05:12", "lat": 40.701, "long": -73.916, "accuracy": 11.3, "speed": 1.4}
SERIES = {"name": "pump-3 vibration", "unit": "g", "start": NOON, "interval": "39.0625us", "values": [0.1, 0.2, -0.4]}
LOAD = {
    "name": "workshop load",
    "unit": "kW",
    "start": NOON,
    "interval": "1h",
    "values": [n % 24 // 3 + n % 7 for n in range(96)],
}
METER = {"measurement": "energy", "timestamp": NOON, "tags": {"muid": "m1"}, "0100011D00FF": 0.5}
DEADLINE_S = 60.0

# Of each operation what is sent; names of `known` in braces.
REQUESTS: dict[str, dict[str, Any]] = {
    "healthz": {},
    "readyz": {},
    "metrics": {},
    "putLocation": {"body": FIX | {"user_id": "a1"}},
    "postPayload": {"feed": "dropzone", "body": ROW},
    "postPoints": {"body": LINE},
    "writeInflux1": {"db": "telegraf", "body": LINE},
    "writeInflux2": {"bucket": "telegraf", "org": "plant", "body": LINE},
    "writeInflux3": {"db": "telegraf", "body": LINE},
    "ping": {},
    "health": {},
    "postSeries": {"body": SERIES},
    "listMeasurements": {"muid": "m1", "start": "2025-06-01", "limit": "2"},
    "listChanges": {"feed": "pumps", "kind": "point", "limit": "2"},
    "followChanges": {"feed": "pumps", "since": "2026-01-01"},
    "followAll": {"topics": "health"},
    "readFlow": {"start": "2020-01-01", "every": "10y", "feed": "pumps"},
    "find": {"q": "pump p1 2025-06-01 12:00", "limit": "1"},
    "getStatus": {},
    "getLastProof": {"feed": "pumps"},
    "listCodes": {},
    "listRules": {},
    "getRule": {"rule": "range"},
    "listFeeds": {},
    "getFeed": {"feed": "pumps"},
    "putFeed": {"feed": "pumps", "dry_run": "true", "body": PUMPS.replace("max = 16", "max = 10")},
    "listFeedVersions": {"feed": "pumps"},
    "diffFeedVersions": {"feed": "pumps", "version": "1", "to": "2"},
    "listFeedPoints": {"feed": "pumps", "field": "pressure", "start": "2025-06-01", "limit": "2"},
    "listRollups": {"feed": "pumps", "start": "2025-06-01", "evidence": "true"},
    "listRows": {"feed": "dropzone", "start": "2025-06-01", "limit": "2"},
    "getLineage": {"feed": "dropzone", "time": NOON},
    "listSeries": {"q": "pump", "facets": "field,tag.pump"},
    "countSeries": {"feed": "pumps"},
    "getSeries": {"series": "{whole}"},
    "listPoints": {"series": "{series}", "start": "2025-06-01", "every": "1h", "agg": "mean,count"},
    "listManyPoints": {"feed": "pumps", "start": "2025-06-01", "every": "1h", "agg": "mean,count,missing"},
    "querySeries": {
        "body": {
            "select": {"feed": "pumps"},
            "start": "2025-06-01",
            "end": "2025-06-02",
            "every": "1d",
            "agg": ["mean", "p95"],
            "group_by": ["pump"],
            "expressions": {"kilopascal": "pressure * 100"},
        }
    },
    "getMetrics": {"series": "{whole}", "q": "0.5,0.95"},
    "getForecast": {"series": "{load}", "horizon": "6", "level": "80"},
    "createForecast": {
        "body": {"series": "{load}", "horizon": 3, "level": [80], "minimum": 0},
        "headers": {"Prefer": "wait=30"},
    },
    "listForecasts": {"series": "{load}"},
    "getStoredForecast": {"forecast": "{forecast}"},
    "getForecastScore": {"forecast": "{forecast}"},
    "deleteForecast": {"forecast": "{useless_forecast}"},
    "getAutocorrelation": {"series": "{load}", "lags": "12"},
    "getCorrelation": {"series": "{load}", "with": "{load}", "lags": "3"},
    "getSpectrum": {"series": "{load}", "bands": "0-1e-5,1e-5-1e-4", "peaks": "2"},
    "getDistribution": {"series": "{load}", "q": "0.5,0.95"},
    "getDuration": {"series": "{load}"},
    "getProfile": {"series": "{load}", "by": "hour", "tz": "Europe/Zurich"},
    "getCalendar": {"series": "{load}", "tz": "Europe/Zurich"},
    "getDecomposition": {"series": "{load}"},
    "getChangePoints": {"series": "{load}"},
    "getAnomalies": {"series": "{load}", "limit": "2"},
    "getDescription": {"series": "{load}", "tz": "Europe/Zurich"},
    "getCoverage": {"series": "{load}", "interval": "1h", "end": "2025-06-06T12:00:00Z"},
    "getPeriodogram": {"series": "{load}", "peaks": "2"},
    "getComparison": {
        "series": "{load}",
        "start": NOON,
        "end": "2025-06-03T12:00:00Z",
        "with_start": "2025-06-03T12:00:00Z",
        "with_end": "2025-06-05T12:00:00Z",
    },
    "getSeriesLineage": {"series": "{series}", "time": NOON},
    "getWhy": {"series": "{series}", "time": NOON},
    "tryFeed": {
        "body": {"definition": PUMPS, "sample": json.dumps([READING, READING | {"pressure": 99}]), "received_at": NOON}
    },
    "getFeedSchema": {"table": "Rollup"},
    "listPayloadRecords": {"receipt": "{rejected}"},
    "getPayloadRecord": {"receipt": "{rejected}", "index": "0"},
    "listReceipts": {"feed": "pumps", "state": "applied", "limit": "2"},
    "getReceipt": {"receipt": "{receipt}"},
    "getPayload": {"receipt": "{receipt}"},
    "listRejections": {"feed": "pumps", "limit": "2"},
    "summarizeRejections": {"feed": "pumps", "every": "1h", "windows_of": "time", "by": "reason,tag.pump"},
    "listSources": {},
    "getSources": {"feed": "meters"},
    "listPolls": {"feed": "meters", "limit": "2"},
    "summarizePolls": {"feed": "meters", "start": "2025-06-01", "end": "2025-06-02"},
    "verify": {"feed": "pumps"},
    "createJob": {"body": {"kind": "replay", "feed": "pumps", "start": "2026-01-01T00:00:00Z", "dry_run": True}},
    "listJobs": {"kind": "replay", "state": "done"},
    "getJob": {"job": "{replay}"},
    "cancelJob": {"job": "{queued_job}"},
    "createReplay": {"body": {"feed": "pumps", "start": "2026-01-01T00:00:00Z", "dry_run": True}},
    "listReplays": {},
    "getReplay": {"replay": "{replay}"},
    "getReplayDifference": {"replay": "{draft}", "kind": "records"},
    "cancelReplay": {"replay": "{queued}"},
    "removeFeed": {"feed": "pumps", "dry_run": "true"},
    "deleteFeedData": {"feed": "pumps", "dry_run": "true"},
    "deletePointsOfFeed": {"feed": "pumps", "tag.pump": "p1", "end": "2025-06-02", "dry_run": "true"},
    "deletePayload": {"receipt": "{receipt}", "dry_run": "true"},
    "deleteSeries": {"series": "{whole}", "dry_run": "true"},
    "deletePointsOfSeries": {"series": "{series}", "end": "2025-06-02", "dry_run": "true"},
    "listDeletions": {},
    "getDeletion": {"deletion_id": "{deletion}"},
    "listKeptPayloads": {"deletion_id": "{deletion}"},
}
# Those that are answered to the holder of a key, which ends open access: they come last.
KEYED: dict[str, dict[str, Any]] = {
    "getSession": {},
    "signIn": {"body": {"key": "{secret}"}},
    "signOut": {},
    "listKeys": {},
    "createKey": {"body": {"name": "dashboard", "scopes": ["read"]}},
    "revokeKey": {"key": "{other_key}"},
    "getStorage": {},
    "getLimits": {},
    "putRetention": {"feed": "pumps", "body": {"points": "90d"}},
}
KEY = {
    "id": "5f2c81d09a3be764",
    "other": "c04b7a51e2f8d936",
    "secret": "tm_example-of-a-key-that-opens-nothing-at-all-0000",
}


def until(true: Callable[[], Any]) -> Any:
    """The first true value, within a minute."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def fill(client: httpx.Client) -> dict[str, str]:
    """Send something of everything; the ids of it."""

    def sent(path: str, body: Any) -> str:
        receipt: str = client.post(path, json=body).json()["id"]
        until(lambda: client.get(f"/v1/receipts/{receipt}").json()["state"] not in ("stored",))
        return receipt

    client.put("/v1/feeds/pumps", content=PUMPS.replace("max = 16", "max = 12"))
    client.put("/v1/feeds/pumps", content=PUMPS)
    sent("/v1/feeds/pumps", READING | {"pressure": 4.0})
    known = {"receipt": sent("/v1/feeds/pumps", READING)}
    known["rejected"] = sent("/v1/feeds/pumps", [READING | {"pressure": 99, "time": "2025-06-01T12:30:00Z"}])
    sent("/v1/feeds/dropzone", ROW | {"data": [1, 2]})
    sent("/v1/feeds/dropzone", ROW)
    sent("/v1/feeds/meters", {"data": [METER]})
    created = client.post("/v1/series", json=SERIES).json()
    known["whole"] = created["id"]
    until(lambda: client.get(f"/v1/series/{created['id']}").status_code == 200)
    known["load"] = client.post("/v1/series", json=LOAD).json()["id"]
    until(lambda: client.get(f"/v1/series/{known['load']}").status_code == 200)
    wait = {"Prefer": "wait=30"}
    forecast = {"series": known["load"], "horizon": 3, "level": [80]}
    for name in ("forecast", "useless_forecast"):
        known[name] = client.post("/v1/forecasts", json=forecast, headers=wait).json()["id"]
    known["series"] = client.get("/v1/series?feed=pumps").json()["items"][0]["id"]
    replay = {"feed": "pumps", "start": "2026-01-01T00:00:00Z", "dry_run": True}
    known["replay"] = client.post("/v1/replays", json=replay).json()["id"]
    until(lambda: client.get(f"/v1/replays/{known['replay']}").json()["state"] == "done")
    deleted = client.delete("/v1/feeds/pumps/points", params={"tag.pump": "p9", "end": "2025-06-02"}).json()
    known["deletion"] = deleted["id"]
    until(lambda: client.get(f"/v1/deletions/{known['deletion']}").json()["state"] != "requested")
    draft = replay | {"definition": PUMPS.replace("max = 16", "max = 100")}
    known["draft"] = client.post("/v1/replays", json=draft).json()["id"]
    until(lambda: client.get(f"/v1/replays/{known['draft']}").json()["state"] == "done")
    return known


@pytest.fixture(scope="module")
def made(whole: Api, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The examples as a server gives them now, from a database of its own."""
    folder = tmp_path_factory.mktemp("examples")
    address = msgspec.structs.replace(whole.services.store.address, database="examples")
    migrate(address)
    with running_api(folder, store=address) as api, running_worker(folder, address, api.wake):
        with running_mill(folder, address, api.hints):
            known = fill(api.client)
        for name in ("queued", "queued_job"):
            known[name] = api.client.post("/v1/replays", json=REQUESTS["createReplay"]["body"]).json()["id"]
        steady = Steady()
        examples = {name: example(api, name, REQUESTS[name], known) for name in OPERATIONS if name in REQUESTS}
        info, secret = create_key(api.services.catalog, "default", ["read", "admin"], "control room")
        api.services.keys.refresh()
        api.client.headers["Authorization"] = f"Bearer {secret}"
        other, _ = create_key(api.services.catalog, "default", ["read"], "dashboard")
        known |= {"secret": secret, "other_key": other.key_id}
        steady.replace({secret: KEY["secret"], info.key_id: KEY["id"], other.key_id: KEY["other"]})
        examples |= {name: example(api, name, KEYED[name], known) for name in OPERATIONS if name in KEYED}
        on_disk(examples["getStorage"]["answer"])
        steady.replace({examples["createKey"]["answer"]["key"]["id"]: KEY["other"]})
        return {name: steady.value(shown) for name, shown in examples.items()}


def example(api: Api, name: str, request: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """One request and its answer."""
    method, path, _ = OPERATIONS[name]
    given = {key: value.format(**known) for key, value in request.items() if key not in ("body", "headers")}
    url = path.format(**given)
    query = {key: value for key, value in given.items() if "{" + key + "}" not in path}
    body = filled(request.get("body"), known)
    sent = {} if body is None else {"content": body} if isinstance(body, str) else {"json": body}
    if path.endswith("/stream"):
        with api.client.stream(method, url, params=query) as stream:
            answer = httpx.Response(200, headers=stream.headers, content=events(stream))
    else:
        answer = api.client.request(method, url, params=query, headers=request.get("headers"), **sent)
    api.client.cookies.clear()
    assert answer.is_success, f"{name}: {answer.text}"
    kind = answer.headers.get("content-type", "").partition(";")[0]  # none: no content
    shown = json.loads(answer.content) if kind == "application/json" else answer.text
    if kind in ("text/plain", "application/x-ndjson"):
        shown = "".join(shown.splitlines(keepends=True)[:1])
    exchange = {"parameters": given, "status": answer.status_code, "media_type": kind, "answer": shown}
    return exchange if body is None else exchange | {"body": body}


def on_disk(storage: dict[str, Any]) -> None:
    """Something steady in place of what merges and the machine's disk decide."""
    storage["disk"] = {"total_bytes": 1 << 38, "free_bytes": 1 << 36, "least_free_bytes": 13743895347}
    storage["log"] = {"bytes": 69632, "entries": 9}
    storage["archive"]["stored_bytes"] = 4711
    for feed in storage["feeds"]:
        feed["points_bytes"] = 11 * feed["points"]
    for table in storage["tables"]:
        table |= {"rows": 12, "bytes": 2048}


def filled(body: Any, known: dict[str, str]) -> Any:
    """A body with what is known in place of each text that is one name in braces."""
    if not isinstance(body, dict):
        return body
    return {key: known.get(value[1:-1], value) if isinstance(value, str) else value for key, value in body.items()}


def events(stream: httpx.Response) -> bytes:
    """A stream to the end of its first change."""
    text = ""
    for piece in stream.iter_text():
        text += piece
        if "data:" in text and text.endswith("\n\n"):
            break
    return text.encode()


class Steady:
    """Puts something steady in place of what differs from run to run, the same for the same."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def replace(self, texts: dict[str, str]) -> None:
        """Put other texts in place of these, wherever they are whole."""
        self._texts |= texts

    def value(self, value: Any, key: str = "") -> Any:
        if key in STEADY and value is not None:
            steady = STEADY[key]
            return steady.get(value, value) if isinstance(steady, dict) and isinstance(value, str) else steady
        if isinstance(value, dict):
            return {name: self.value(member, name) for name, member in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value[:KEPT_ITEMS]]
        if isinstance(value, float):
            return round(float(f"{value:.6g}"), 12)  # processors differ in the last digits
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        text = self._texts.get(text, text)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", self._id, text)
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", _when, text)
        text = re.sub(r'"mill":"(silent|stopped|applying)"', '"mill":"idle"', text)
        return re.sub(r"(?=[\w-]*[A-Z])[A-Za-z0-9_-]{50,}", "c2VhbGVkLWN1cnNvcg", text)

    def _id(self, match: re.Match[str]) -> str:
        return self._ids.setdefault(match[0], f"019c1404-c000-7000-8000-{len(self._ids) + 1:012d}")


def _when(match: re.Match[str]) -> str:
    happened = datetime.fromisoformat(match[0][:19]).replace(tzinfo=UTC)
    return TIME if happened > STARTED else match[0]


def test_every_operation_has_an_example_that_is_up_to_date(made: dict[str, Any]) -> None:
    assert made.keys() == OPERATIONS.keys()
    text = json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("TIDEMILL_TEST_WRITE_EXAMPLES"):
        FILE.write_text(text, "utf-8")
    kept = json.loads(FILE.read_text("utf-8"))
    for name, example in made.items():
        assert kept.get(name) == example, f"{name}: run `make docs` and commit the result"


def test_examples_are_what_the_document_says(made: dict[str, Any]) -> None:
    for name, example in made.items():
        if example["media_type"] != "application/json":
            continue
        answer = OPERATIONS[name][2]["responses"][str(example["status"])]["content"][example["media_type"]]
        validator = jsonschema_rs.Draft202012Validator(answer["schema"] | {"components": DOCUMENT["components"]})
        faults = [
            f"{name}{list(fault.instance_path)}: {fault.message}" for fault in validator.iter_errors(example["answer"])
        ]
        assert not faults, faults


def test_the_document_shows_every_example() -> None:
    for name, (_, _, operation) in OPERATIONS.items():
        kept = json.loads(FILE.read_text("utf-8"))[name]
        answered = operation["responses"][str(kept["status"])]
        if kept["status"] == 204:
            assert "content" not in answered
            continue
        answer = answered["content"][kept["media_type"]]
        assert answer["example"] == kept["answer"], name
        shown = {described["name"].rstrip("*"): described for described in operation.get("parameters", [])}
        for parameter in shown.values():
            assert not parameter.get("required") or "example" in parameter, name
        if "requestBody" in operation:
            assert any("example" in content for content in operation["requestBody"]["content"].values()), name
