"""The parts of the server as the page shows them, and the last proof."""

import time
from pathlib import Path

from tests.api.samples import problem, row
from tests.support.api import Api, running_api
from tidemill.catalog.keys import create_key

WAIT = {"Prefer": "wait=30"}


def test_every_part_is_shown(whole: Api) -> None:
    whole.client.post("/v1/feeds/dropzone", json=row())
    whole.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT)
    status = whole.client.get("/v1/status").json()
    assert status["api"]["state"] == "acknowledging"
    assert status["api"]["acknowledged"] >= 1
    assert 0 < status["api"]["p50_ms"] <= status["api"]["p99_ms"]
    assert status["mill"]["heartbeat_s"] < 60
    assert status["mill"]["lag_s"] >= 0
    assert status["store"]["state"] == "up"
    assert status["store"]["point_rows"] > 0
    assert status["disk"]["free_bytes"] > 0
    assert set(status["versions"]) == {"tidemill", "python", "log", "store"}
    document = problem(whole.client.get("/v1/status?part=mill"), 400, "invalid")
    assert [fault["path"] for fault in document["errors"]] == ["$query.part"]


def test_it_answers_while_the_store_is_down(api: Api) -> None:
    api.client.post("/v1/feeds/dropzone", json=row())
    status = api.client.get("/v1/status").json()
    assert (status["store"]["state"], status["api"]["state"]) == ("down", "acknowledging")
    assert status["store"]["why"]
    assert status["mill"]["lag"] >= 1
    assert status["mill"]["lag_s"] > 0


def test_numbers_are_for_administrators(tmp_path: Path) -> None:
    with running_api(tmp_path, open_access=False) as own:
        keys = {scope: create_key(own.services.catalog, "default", [scope])[1] for scope in ("read", "write")}
        time.sleep(0.2)
        status = own.client.get("/v1/status", headers={"X-API-Key": keys["read"]}).json()
        assert status["api"] | {"started_at": ""} == {
            "state": "acknowledging",
            "why": "",
            "started_at": "",
            "acknowledged": None,
            "p50_ms": None,
            "p99_ms": None,
        }
        assert (status["mill"]["lag"], status["mill"]["lag_s"], status["disk"]["free_bytes"]) == (None, None, None)
        assert set(status["versions"]) == {"tidemill"}
        problem(own.client.get("/v1/status"), 401, "unauthorized")
        for path in ("/v1/status", "/v1/verify/last", "/v1/find?q=a"):
            problem(own.client.get(path, headers={"X-API-Key": keys["write"]}), 403, "forbidden")


def test_the_last_proof_of_everything_is_kept_with_who_asked_for_it(whole: Api) -> None:
    job = whole.client.post("/v1/jobs", json={"kind": "verify"}, headers=WAIT).json()
    assert job["state"] == "done", job
    last = whole.client.get("/v1/verify/last").json()
    assert (last["proof"]["id"], last["proof"]["by"], last["running"]) == (job["id"], "open", False)
    assert last["proof"]["adds_up"] == job["result"]["adds_up"]
    assert last["proof"]["totals"] == job["result"]["totals"]
    assert last["age_s"] >= 0
    narrow = whole.client.post("/v1/jobs", json={"kind": "verify", "feed": "dropzone"}, headers=WAIT).json()
    assert whole.client.get("/v1/verify/last").json()["proof"]["id"] == job["id"]  # one feed proves not everything
    assert whole.client.get("/v1/verify/last?feed=dropzone").json()["proof"]["id"] == narrow["id"]
    assert whole.client.get("/v1/verify/last?feed=location").json()["proof"]["id"] == job["id"]
    document = problem(whole.client.get("/v1/verify/last?of=all"), 400, "invalid")
    assert [fault["path"] for fault in document["errors"]] == ["$query.of"]


def test_without_a_proof_there_is_none(api: Api) -> None:
    assert api.client.get("/v1/verify/last").json() == {"proof": None, "age_s": None, "running": False}
