"""Contract 2: one JSON file a request; mean and standard deviation out."""

import hashlib
import json
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.server import Server

Curl = Callable[..., tuple[int, str]]


def send(server: Server, body: object, **headers: str) -> dict[str, object]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Prefer": "wait=10", "Content-Type": "application/json", **headers}
    return server.client.post("/v1/feeds/dropzone", content=content, headers=headers).json()


def rows(server: Server, start: str, end: str) -> list[dict[str, object]]:
    answer = server.client.get("/v1/feeds/dropzone/rows", params={"start": start, "end": end})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_curl_of_the_contract_works_as_typed(server: Server, curl: Curl, sample: Path) -> None:
    status, body = curl("-X", "POST", "-d", f"@{sample}", "/v1/feeds/dropzone")
    assert status == 202
    receipt = json.loads(body)
    sent = sample.read_bytes().replace(b"\n", b"").replace(b"\r", b"")  # what curl -d does to a file
    assert receipt["bytes"] == len(sent)
    assert receipt["sha256"] == hashlib.sha256(sent).hexdigest()
    outcome = server.wait_applied(receipt["id"])
    assert (outcome["accepted"], outcome["rejected"], outcome["state"]) == (1, 0, "applied")
    assert server.client.get(f"/v1/receipts/{receipt['id']}/payload").content == sent

    document = json.loads(sample.read_text())
    instant = datetime.fromisoformat(document["time_stamp"]).astimezone(UTC)
    (row,) = rows(server, instant.isoformat(), (instant + timedelta(seconds=1)).isoformat())
    assert row["time"] == instant.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert row["receipt"] == receipt["id"]
    assert row["count"] == len(document["data"])
    assert abs(row["mean"] - statistics.fmean(document["data"])) < 1e-12
    assert abs(row["stddev"] - statistics.stdev(document["data"])) < 1e-12
    assert abs(row["stddev_pop"] - statistics.pstdev(document["data"])) < 1e-12


def test_the_same_instant_replaces_and_lineage_remembers(server: Server) -> None:
    first = send(server, {"time_stamp": "2020-01-01T12:00:00+00:00", "data": [1, 2, 3]})
    second = send(server, {"time_stamp": "2020-01-01T13:00:00+01:00", "data": [10, 20]})
    (row,) = rows(server, "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")
    assert (row["mean"], row["count"], row["receipt"]) == (15, 2, second["id"])
    lineage = server.client.get("/v1/feeds/dropzone/rows/2020-01-01T12:00:00Z/lineage").json()
    assert (lineage["receipt"], lineage["sha256"]) == (second["id"], second["sha256"])
    assert server.client.get(lineage["links"]["payload"]).json()["data"] == [10, 20]
    (replaced,) = lineage["replaced"]
    assert (replaced["receipt"], replaced["mean"], replaced["count"]) == (first["id"], 2, 3)


def test_one_value_has_no_sample_deviation(server: Server) -> None:
    send(server, {"time_stamp": "2020-02-01T00:00:00Z", "data": [4.5]})
    (row,) = rows(server, "2020-02-01T00:00:00Z", "2020-02-02T00:00:00Z")
    assert (row["mean"], row["stddev"], row["stddev_pop"], row["count"]) == (4.5, None, 0, 1)


def test_arrays_and_ndjson_are_many_records(server: Server) -> None:
    stamps = [f"2020-03-01T00:00:0{n}Z" for n in range(6)]
    records = [{"time_stamp": stamp, "data": [n, n + 2]} for n, stamp in enumerate(stamps)]
    as_array = send(server, records[:3])
    as_lines = send(server, b"\n".join(json.dumps(r).encode() for r in records[3:]))
    assert (as_array["accepted"], as_lines["accepted"]) == (3, 3)
    found = rows(server, "2020-03-01T00:00:00Z", "2020-03-02T00:00:00Z")
    assert [(row["time"], row["mean"]) for row in found] == [(stamp, n + 1) for n, stamp in enumerate(stamps)]


def test_a_refusal_names_the_path_and_keeps_bytes_and_reason(server: Server) -> None:
    body = json.dumps({"time_stamp": "2020-04-01T00:00:00Z", "data": [*range(17), "x", 18]}).encode()
    answer = server.client.post("/v1/feeds/dropzone", content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [(e["path"], e["code"]) for e in problem["errors"]] == [("$.data[17]", "wrong_type")]
    outcome = server.wait_applied(problem["receipt"])
    assert (outcome["state"], outcome["accepted"], outcome["rejected"]) == ("refused", 0, 1)
    assert server.client.get(f"/v1/receipts/{problem['receipt']}/payload").content == body
    (item,) = server.client.get("/v1/rejections", params={"receipt": problem["receipt"]}).json()["items"]
    assert item["reasons"] == ["wrong_type"]
    assert rows(server, "2020-04-01T00:00:00Z", "2020-04-02T00:00:00Z") == []


def test_every_kind_of_bad_quality_is_refused(server: Server) -> None:
    cases = {
        b'{"time_stamp": "2020-05-01T00:00:00Z"}': ("$.data", "missing"),
        b'{"time_stamp": "2020-05-01T00:00:00Z", "data": []}': ("$.data", "empty"),
        b'{"time_stamp": "2020-05-01T00:00:00Z", "data": [1, null]}': ("$.data[1]", "wrong_type"),
        b'{"time_stamp": "2020-05-01T00:00:00Z", "data": [1e999]}': ("$.data[0]", "not_finite"),
        b'{"time_stamp": "2020-05-01T00:00:00", "data": [1]}': ("$.time_stamp", "time_no_offset"),
        b'{"data": [1]}': ("$.time_stamp", "missing"),
    }
    for body, fault in cases.items():
        answer = server.client.post("/v1/feeds/dropzone", content=body)
        assert answer.status_code == 400, body
        assert fault in [(e["path"], e["code"]) for e in answer.json()["errors"]], (body, answer.text)
