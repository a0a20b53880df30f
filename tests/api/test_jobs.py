"""Jobs over HTTP: both kinds from the request to the result, lists in pages, cancelling, tenants, old data folders."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.api.samples import problem, row
from tests.support.api import Api, running_api
from tidemill.api.job_request import MAKERS
from tidemill.api.job_upkeep import job_gauges, prune_jobs, wake_for_waiting
from tidemill.api.job_views import VIEWS
from tidemill.api.jobs import MAX_QUEUED
from tidemill.catalog.jobs import CatalogJobs, jobs_of_kinds
from tidemill.catalog.keys import create_key
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.jobs.work import JOB_WORKS
from tidemill.model.ids import new_receipt
from tidemill.model.job_kinds import JOBS, KINDS
from tidemill.model.replay import Replay, ReplayRequest
from tidemill.model.verification import Verification, VerifyRequest
from tidemill.service import feed_texts
from tidemill.settings import Settings

WAIT = {"Prefer": "wait=20"}
REPLAY = {"kind": "replay", "feed": "dropzone", "start": "2000-01-01T00:00:00Z", "dry_run": True}
VERIFY = {"kind": "verify", "feed": "dropzone"}
DAY_NS = 86_400 * 10**9


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Api]:
    """Nobody works on its jobs."""
    settings = Settings(data=str(tmp_path), job_keep=2, job_keep_days=30)
    with running_api(tmp_path, settings=settings, open_access=False) as running:
        yield running


@pytest.fixture
def admin(alone: Api) -> Callable[[str], httpx.Client]:
    """A client of a tenant, whose recipes are installed."""

    def client(tenant: str) -> httpx.Client:
        feed_texts(alone.services.catalog, tenant)
        return keyed(alone, tenant, "admin")

    return client


def keyed(api: Api, tenant: str, scope: str) -> httpx.Client:
    _, secret = create_key(api.services.catalog, tenant, [scope])
    api.services.keys.refresh()
    return httpx.Client(base_url=api.url, headers={"X-API-Key": secret}, trust_env=False)


def verification(created_ns: int, tenant: str = "default", **changes: Any) -> Verification:
    scope, job_id = VerifyRequest(), new_receipt(created_ns)
    job = Verification(id=job_id, tenant=tenant, request=scope, state="queued", created_ns=created_ns)
    return msgspec.structs.replace(job, **changes)


def test_both_kinds_go_from_a_request_to_their_result(whole: Api) -> None:
    whole.client.post("/v1/feeds/dropzone", json=row(), headers=WAIT)
    begun = whole.client.post("/v1/jobs", json=VERIFY)
    assert begun.status_code == 202
    assert (begun.json()["kind"], begun.json()["result"]) == ("verify", None)
    verified = whole.client.get(begun.headers["location"], headers=WAIT).json()
    assert (verified["state"], verified["error"]) == ("done", None)
    assert verified["request"] == {"feed": "dropzone", "since": None}
    assert verified["result"]["adds_up"] and verified["result"]["totals"]["payloads"] >= 1
    assert verified["progress"]["done"] == verified["progress"]["total"] == verified["result"]["totals"]["payloads"]

    replayed = whole.client.post("/v1/jobs", json=REPLAY, headers=WAIT)
    assert replayed.status_code == 200 and replayed.headers["preference-applied"] == "wait=20"
    job = replayed.json()
    assert job["state"] == "done" and job["result"]["payloads"] >= 1
    same = whole.client.get(f"/v1/replays/{job['id']}").json()
    assert (same["difference"], same["asked"]) == (job["result"], job["request"]["payloads"])
    listed = [item["id"] for item in whole.client.get("/v1/jobs?limit=2").json()["items"]]
    assert listed == [job["id"], verified["id"]]


def test_a_report_that_is_followed_is_a_job_like_any_other(whole: Api) -> None:
    lines = whole.client.get("/v1/verify?feed=dropzone", timeout=60).text.splitlines()
    report = json.loads(lines[-1])["report"]
    newest = whole.client.get("/v1/jobs?kind=verify&limit=1").json()["items"][0]
    assert newest["result"] == report
    assert whole.services.catalog.list("verification-reports/") == [], "the whole report is handed on, and not kept"


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (b"{", {"$"}),
        ([], {"$"}),
        ({}, {"$.kind"}),
        ({"kind": "import"}, {"$.kind"}),
        ({"kind": "verify", "feed": "none"}, {"$.feed"}),
        ({"kind": "verify", "since": "yesterday", "fed": "x"}, {"$.since", "$.fed"}),
        ({"kind": "replay"}, {"$.feed"}),
        ({"kind": "replay", "feed": "dropzone"}, {"$"}),
        ({"kind": "replay", "feed": "dropzone", "start": "2026-01-02T00:00:00Z", "version": 99}, {"$.version"}),
    ],
)
def test_every_fault_of_a_request_is_named(whole: Api, body: Any, paths: set[str]) -> None:
    answer = whole.client.post("/v1/jobs", content=body if isinstance(body, bytes) else json.dumps(body))
    problem(answer, 400, "invalid")
    assert {fault["path"] for fault in answer.json()["errors"]} == paths


def test_pages_hold_every_job_once_newest_first(alone: Api, admin: Callable[[str], httpx.Client]) -> None:
    client = admin("default")
    made = [client.post("/v1/jobs", json=[VERIFY, REPLAY][n % 2]).json()["id"] for n in range(7)]
    seen, path = [], "/v1/jobs?limit=3"
    while path:
        page = client.get(path)
        seen += [item["id"] for item in page.json()["items"]]
        path = page.links["next"]["url"] if page.json()["next"] else ""
    assert seen == made[::-1]
    assert client.delete(f"/v1/jobs/{made[2]}").json()["state"] == "cancelled"
    only = client.get("/v1/jobs?kind=verify&state=queued").json()
    assert [item["id"] for item in only["items"]] == [made[n] for n in (6, 4, 0)]
    assert only["next"] is None
    counts, waits_s = job_gauges(alone.services.catalog, alone.services.clock())
    assert (counts["verify", "queued"], counts["verify", "cancelled"], counts["replay", "queued"]) == (3, 1, 3)
    assert waits_s["verify"] > waits_s["replay"] > 0


def test_jobs_of_another_tenant_are_not_there(alone: Api, admin: Callable[[str], httpx.Client]) -> None:
    ours, theirs = admin("acme"), admin("beta")
    for body in (VERIFY, REPLAY):
        job = ours.post("/v1/jobs", json=body).json()["id"]
        for method in ("GET", "DELETE"):
            foreign = theirs.request(method, f"/v1/jobs/{job}")
            problem(foreign, 404, "not_found")
            assert foreign.text.replace(job, "") == theirs.request(method, "/v1/jobs/none").text.replace("none", "")
    assert theirs.get("/v1/jobs").json()["items"] == []
    assert len(ours.get("/v1/jobs").json()["items"]) == 2
    for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("DELETE", f"/v1/jobs/{job}")):
        problem(keyed(alone, "acme", "write").request(method, path), 403, "forbidden")


def test_a_tenant_queues_no_more_than_a_number(alone: Api, admin: Callable[[str], httpx.Client]) -> None:
    client, jobs = admin("acme"), CatalogJobs(alone.services.catalog, Verification)
    for number in range(MAX_QUEUED):
        jobs.create(verification(number, "acme"))
    answer = client.post("/v1/jobs", json=VERIFY)
    assert problem(answer, 400, "invalid")["errors"][0]["code"] == "too_many"
    assert client.post("/v1/jobs", json=REPLAY).status_code == 202
    assert admin("beta").post("/v1/jobs", json=VERIFY).status_code == 202


def test_what_is_over_cannot_be_cancelled(alone: Api, admin: Callable[[str], httpx.Client]) -> None:
    client = admin("default")
    job = client.post("/v1/jobs", json=REPLAY).json()["id"]
    assert client.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    problem(client.delete(f"/v1/jobs/{job}"), 409, "conflict")
    assert client.get(f"/v1/replays/{job}").json()["state"] == "cancelled"


def test_old_jobs_are_removed_but_for_the_newest_of_a_tenant(alone: Api) -> None:
    now_ns = alone.services.clock()
    jobs = CatalogJobs(alone.services.catalog, Verification)
    ages = {"acme": (90, 60, 40, 5), "beta": (90, 80)}
    made = {
        (tenant, age): verification(now_ns - age * DAY_NS, tenant, state="done", finished_ns=now_ns - age * DAY_NS)
        for tenant, each in ages.items()
        for age in each
    }
    waiting = verification(now_ns - 95 * DAY_NS, "acme")
    for job in (*made.values(), waiting):
        jobs.create(job)
    assert prune_jobs(alone.services) == 2
    kept = [waiting.id, *(made[key].id for key in (("beta", 90), ("beta", 80), ("acme", 40), ("acme", 5)))]
    assert sorted(job.id for job in jobs.list()) == sorted(kept)


def test_a_clock_in_doubt_removes_no_job(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "log.clock").write_text('{"boot": "another", "offset_ns": 0, "wall_ns": 1000}')
    settings = Settings(data=str(tmp_path), job_keep=0, job_keep_days=0)
    with running_api(tmp_path, settings=settings) as api:
        CatalogJobs(api.services.catalog, Verification).create(verification(0, state="done", finished_ns=0))
        assert prune_jobs(api.services) == 0


def test_jobs_that_waited_through_a_restart_wake_the_worker(alone: Api) -> None:
    alone.wake.drain()
    wake_for_waiting(alone.services)
    assert not alone.wake.is_woken()
    CatalogJobs(alone.services.catalog, Verification).create(verification(0))
    wake_for_waiting(alone.services)
    assert alone.wake.is_woken()


BEFORE: dict[str, Any] = {  # as it was written before there were jobs
    "id": "01936b1e-0000-7000-8000-000000000001",
    "tenant": "default",
    "request": {
        "feed": "dropzone",
        "version": 1,
        "dry_run": True,
        "start_ns": None,
        "end_ns": None,
        "receipts": None,
        "rejections": {"reason": "outside_range", "receipt": None, "start_ns": None, "end_ns": None},
    },
    "state": "done",
    "created_ns": 1_700_000_000_000_000_000,
    "started_ns": 1_700_000_001_000_000_000,
    "finished_ns": 1_700_000_002_000_000_000,
    "total": 3,
    "done": 3,
    "error": "",
    "difference": {
        "payloads": 3,
        "newly_accepted_total": 1,
        "newly_accepted": {"outside_range": 1},
        "windows": [
            {"series": "00", "window_ns": 0, "every_s": 60, "old_mean": None, "new_mean": 2.5, "old_count": 0,
             "new_count": 1}
        ],
        "points": [{"series": "00", "time_ns": 0, "old": None, "new": 2.5}],
    },
}  # fmt: skip


def test_a_folder_of_before_keeps_its_replays(tmp_path: Path) -> None:
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    catalog.put(f"replays/default/{BEFORE['id']}", json.dumps(BEFORE).encode())
    catalog.close()
    with running_api(tmp_path) as api:
        [job] = api.client.get("/v1/jobs").json()["items"]
        assert (job["id"], job["kind"], job["state"]) == (BEFORE["id"], "replay", "done")
        assert job["result"]["windows"][0]["new"] == {"mean": 2.5, "count": 1}
        replay = api.client.get(f"/v1/replays/{BEFORE['id']}").json()
        assert replay["difference"] == job["result"]
        assert replay["asked"] == {"rejections": {"reason": "outside_range"}}


def test_a_replay_is_written_as_before() -> None:
    """So that a version of before reads it, too."""
    chosen = ReplayRequest(feed="dropzone", version=1, dry_run=True)
    written = json.loads(msgspec.json.encode(Replay(id="a", tenant="t", request=chosen, state="queued", created_ns=0)))
    assert set(BEFORE) <= set(written)


def test_every_kind_is_complete(alone: Api) -> None:
    assert set(JOBS) == set(KINDS) == set(VIEWS) == set(MAKERS) == set(jobs_of_kinds(alone.services.catalog))
    assert {kind for kind, job in JOBS.items() if job.ROLE == "worker"} == set(JOB_WORKS)
    prefixes = [job.PREFIX for job in JOBS.values()]
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes) and len(set(prefixes)) == len(JOBS)


def test_a_job_is_waited_for_as_long_as_asked(alone: Api, admin: Callable[[str], httpx.Client]) -> None:
    client = admin("default")
    began = time.monotonic()
    answer = client.post("/v1/jobs", json=VERIFY, headers={"Prefer": "wait=0.3"})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert time.monotonic() - began >= 0.3
