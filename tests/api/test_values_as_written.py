"""Values as the world writes them, over HTTP: what becomes of them, and that the answers say so."""

import base64
import struct
from typing import Any

from tests.api.samples import problem
from tests.support.api import Api

WAIT = {"Prefer": "wait=10"}
METER = """
name = "written-meter"
[input]
on_fault = "reject"
[time]
path = "$.at"
[tags.meter]
path = "$.meter"
[registers]
except_keys = ["at", "meter"]
"""
STATION = """
name = "written-station"
[input]
on_fault = "reject"
[time]
path = "$.at"
[tags.station]
path = "$.station"
[fields.level]
path = "$.level"
type = "text_number"
decimal = ","
unit_in_text = true
unit = "m"
required = false
[fields.pressure]
path = "$.pressure"
unit = "hPa"
unit_path = "$.pressure_unit"
required = false
[fields.battery]
path = "$.payload"
type = "uint16_be"
encoding = "base64"
at = 0
scale = 0.001
required = false
[fields.air]
path = "$.payload"
type = "int16_be"
encoding = "base64"
at = 2
scale = 0.01
required = false
[fields.ticks]
path = "$.ticks"
required = false
[[rules]]
check = "not_a_value"
options = { field = "air", values = [85, -127, 327.67] }
"""


def apply(api: Api, text: str) -> str:
    name = text.split('"')[1]
    answer = api.client.put(f"/v1/feeds/{name}", content=text.encode())
    assert answer.status_code in (200, 201), answer.text
    return name


def send(api: Api, feed: str, *records: dict[str, Any]) -> dict[str, Any]:
    body = [{"at": f"2026-01-01T00:{minute:02}:00Z", **record} for minute, record in enumerate(records)]
    answer = api.client.post(f"/v1/feeds/{feed}", json=body, headers=WAIT)
    assert (answer.status_code, answer.json()["state"]) == (200, "applied"), answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def series(api: Api, feed: str, field: str) -> str:
    items = api.client.get("/v1/series", params={"feed": feed, "field": field}).json()["items"]
    assert len(items) == 1, items
    return str(items[0]["id"])


def test_a_text_among_registers_costs_nothing_else_and_is_said(whole: Api) -> None:
    feed = apply(whole, METER)
    receipt = send(whole, feed, {"meter": "m1", "1-0:1.8.0": 10432.1, "0-0:96.1.0": "454d48"})
    assert (receipt["accepted"], receipt["rejected"]) == (1, 0)
    assert whole.client.get("/v1/series", params={"feed": feed}).json()["items"][0]["field"] == "1-0:1.8.0"
    number = series(whole, feed, "1-0:1.8.0")
    (point,) = whole.client.get(f"/v1/series/{number}/points").json()["items"]
    assert (point["value"], point["marks"]) == (10432.1, ["register_no_number"])
    why = whole.client.get("/v1/why", params={"series": number, "time": "2026-01-01T00:00:00Z"}).json()
    flagged = [event["text"] for event in why["events"] if event["event"] == "flagged"]
    assert len(flagged) == 1
    assert "is no number, so it became no point" in flagged[0]
    marked = whole.client.get(f"/v1/series/{number}/points", params={"marked": "register_no_number"}).json()["items"]
    assert len(marked) == 1


def test_a_station_that_writes_texts_units_and_bytes(whole: Api) -> None:
    feed = apply(whole, STATION)
    octets = [base64.b64encode(struct.pack(">Hh", 3101, air)).decode() for air in (2343, 8500)]
    receipt = send(
        whole,
        feed,
        {"station": "s", "level": "312,5 cm", "pressure": 1.01325, "pressure_unit": "bar", "payload": octets[0]},
        {"station": "s", "level": "n/a"},
        {"station": "s", "pressure": 1, "pressure_unit": "furlong"},
        {"station": "s", "payload": octets[1]},
        {"station": "s", "ticks": 2**53 + 1},
        {"station": "s", "payload": base64.b64encode(b"abc").decode()},
    )
    reasons = ("not_a_number", "unknown_unit", "not_a_value", "not_exact", "wrong_size")
    assert receipt["reasons"] == dict.fromkeys(reasons, 1)
    values = {"level": 3.125, "pressure": 1013.25, "battery": 3.101, "air": 23.43}
    for field, value in values.items():
        answer = whole.client.get(f"/v1/feeds/{feed}/points", params={"field": field, "station": "s"}).json()
        assert [point["value"] for point in answer] == [value], field
    ledger = whole.client.get("/v1/rejections", params={"feed": feed, "receipt": receipt["id"]}).json()["items"]
    details = {item["reasons"][0]: item["detail"] for item in ledger}
    assert "is the text 'n/a'" in details["not_a_number"]
    assert "there is no unit 'furlong'" in details["unknown_unit"]
    assert "has 3 bytes, and 'air' ends at byte 4" in details["wrong_size"]
    assert "9007199254740993" in details["not_exact"]


def test_a_series_of_samples_is_exact_or_refused(whole: Api) -> None:
    exact = {"name": "exact", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [2**53, 2**60, 1e300, 1]}
    answer = whole.client.post("/v1/series", json=exact)
    assert answer.status_code in (201, 202), answer.text
    refused = whole.client.post("/v1/series", json={**exact, "values": [1, 2**53 + 1]})
    errors = problem(refused, 400, "invalid")["errors"]
    assert [(error["path"], error["code"]) for error in errors] == [("$.values[1]", "not_exact")]
