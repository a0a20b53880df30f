"""The metering API's own route, asked as its front ends ask."""

from tests.api.samples import problem
from tests.support.api import Api

MUID = "11111111-6cbf-4a52-9a43-6f0d6b1a9d11"


def test_what_was_read_from_the_source_is_answered_in_its_shape(whole: Api) -> None:
    records = [
        {
            "measurement": "energy",
            "timestamp": f"2023-02-01T00:{minute}:00.000Z",
            "tags": {"muid": MUID, "quality": "measured"},
            "0100011D00FF": 0.0123,
            "0100021D00FF": 0.5,
        }
        for minute in ("00", "15")
    ]
    sent = whole.client.post("/v1/feeds/meters", json={"data": records}, headers={"Prefer": "wait=10"})
    assert sent.json()["accepted"] == 2, sent.text
    selection = {"muid": MUID, "measurement": "energy", "limit": "5000", "start": "2023-02-01", "stop": "2023-03-01"}
    oldest_first = selection | {"order": "asc"}
    newest_first = {"data": records[::-1]}
    assert whole.client.get("/meterdata/measurement", params=selection).json() == newest_first
    assert whole.client.get("/meterdata/measurement", params=selection | {"order": "desc"}).json() == newest_first
    assert whole.client.get("/meterdata/measurement", params=oldest_first).json() == {"data": records}
    assert whole.client.get("/meterdata/measurement", params=selection | {"limit": "1"}).json() == {"data": records[1:]}
    first = whole.client.get("/meterdata/measurement", params=oldest_first | {"limit": "1"}).json()
    assert first == {"data": records[:1]}
    later = selection | {"start": "2023-02-01T00:15:00Z"}
    assert whole.client.get("/meterdata/measurement", params=later).json() == {"data": records[1:]}
    assert whole.client.get("/meterdata/measurement", params=selection | {"muid": "nobody"}).json() == {"data": []}


def test_faults_are_problems(whole: Api) -> None:
    answer = whole.client.get("/meterdata/measurement?start=2023-03-01&stop=2023-02-01")
    assert [fault["code"] for fault in problem(answer, 400, "invalid")["errors"]] == ["out_of_order"]
    problem(whole.client.get("/meterdata/measurement?limit=0&start=then"), 400, "invalid")
    problem(whole.client.get("/meterdata/measurement?order=newest"), 400, "invalid")
