"""`tidemill jobs`: list, show and cancel, at a real API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Run, runner
from tests.support.api import Api, running_api
from tidemill.catalog.jobs import CatalogJobs
from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.model.forecast import Fit, FitResult, ForecastRequest
from tidemill.model.ids import new_receipt
from tidemill.model.replay import Replay, ReplayOutcome, ReplayRequest
from tidemill.model.verification import Totals, Verification, VerifyFinding, VerifyReport, VerifyRequest

FINDING = VerifyFinding(
    code="point_missing", tenant="default", what="point", expected="1.5", observed="none", feed="location"
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("jobs")) as running:
        yield running


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, "jobs")


def verified(api: Api, *findings: VerifyFinding) -> Verification:
    asked = VerifyRequest(feed="location")
    job = Verification(id=new_receipt(0), tenant="default", request=asked, state="running", created_ns=0)
    store = CatalogVerifications(api.services.catalog)
    store.create(job)
    counts = {finding.code: 1 for finding in findings}
    totals = Totals(payloads=3)
    return store.finish(job, VerifyReport(totals=totals, counts=counts, findings=[*findings], notes=[], seconds=1.0), 1)


def replayed(api: Api) -> Replay:
    asked = ReplayRequest(feed="dropzone", version=2, dry_run=True)
    found = ReplayOutcome(payloads=1, records=5, newly_accepted_total=4, newly_accepted={"outside_range": 4})
    done = Replay(id=new_receipt(10**9), tenant="default", request=asked, state="done", created_ns=0, result=found)
    CatalogReplays(api.services.catalog).create(done)
    return done


def fitted(api: Api) -> Fit:
    result = FitResult("01a2ffff-0000-7000-8000-000000000000")
    request = ForecastRequest("0123456789abcdef", {"horizon": "3"})
    done = Fit(id=new_receipt(5), tenant="default", request=request, state="done", created_ns=0, result=result)
    CatalogJobs(api.services.catalog, Fit).create(done)
    return done


def test_a_fit_is_listed_and_names_its_forecast(api: Api, jobs: Run) -> None:
    fit = fitted(api)
    (line,) = jobs("list", "--kind", "forecast", "--url", api.url).out.splitlines()[1:]
    assert line.split()[:4] == [fit.id, "forecast", "0123456789abcdef", "done"]
    assert "forecast 01a2ffff-" in line
    assert "tidemill forecast --score 01a2ffff-" in jobs("show", fit.id, "--url", api.url).out


def test_jobs_are_listed_shown_and_cancelled(api: Api, jobs: Run, tmp_path: Path) -> None:
    good, bad, replay = verified(api), verified(api, FINDING), replayed(api)
    queued = api.client.post("/v1/jobs", json={"kind": "verify"}).json()["id"]
    listed = jobs("list", "--url", api.url)
    lines = listed.out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == [queued, replay.id]
    assert "dry run: 4 accepted, 0 rejected anew" in lines[2]
    assert "adds up" in next(line for line in lines if good.id in line)
    assert "1 finding" in next(line for line in lines if bad.id in line)
    assert jobs("list", "--kind", "replay", "--url", api.url).out.count("\n") == 2
    assert jobs("list", "--limit", 1, "--url", api.url).out.count("\n") == 2
    wrong = jobs("list", "--state", "odd", "--url", api.url)
    assert wrong.status == 2 and "must be one of queued, running" in wrong.err

    assert "Everything adds up." in jobs("show", good.id, "--url", api.url).out
    shown = jobs("show", bad.id, "--url", api.url)
    assert shown.status == 1 and "point_missing" in shown.out
    assert "4 would be accepted anew (outside_range 4)" in jobs("show", replay.id, "--url", api.url).out

    assert f"job {queued} (verify) is cancelled" in jobs("cancel", queued, "--url", api.url).out
    again = jobs("cancel", queued, "--url", api.url)
    assert again.status == 1 and "is cancelled" in again.err
    shown = jobs("show", queued, "--url", api.url)
    assert shown.status == 1 and "is cancelled" in shown.err
    assert jobs("show", "none", "--url", api.url).status == 1
