"""Jobs in the catalog: several writers, and what is kept of those that are over."""

import threading
from typing import Any

import pytest

from tidemill.catalog.jobs import CatalogJobs
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.catalog.verifications import MAX_FINDINGS, CatalogVerifications
from tidemill.errors import ConflictError, NotFoundError
from tidemill.model.ids import new_receipt
from tidemill.model.verification import Totals, Verification, VerifyFinding, VerifyReport, VerifyRequest

NOW_NS = 10**18
FINDING = VerifyFinding(code="point_differs", tenant="t", what="point", expected="1.5", observed="2.5", feed="location")


def made(created_ns: int = 0, feed: str = "", **changes: Any) -> Verification:
    asked = VerifyRequest(feed=feed, followed=True)
    fields = {"state": "running", "created_ns": created_ns, **changes}
    return Verification(id=new_receipt(created_ns), tenant="t", request=asked, **fields)


def report(count: int = 1) -> VerifyReport:
    return VerifyReport(
        totals=Totals(payloads=3), counts={"point_differs": count}, findings=[FINDING] * count, notes=[], seconds=1
    )


def test_nobody_undoes_what_another_wrote(catalog: SqliteCatalog) -> None:
    jobs, job = CatalogJobs(catalog, Verification), made()
    jobs.create(job)

    def count(field: str) -> None:
        for number in range(50):
            jobs.change(job, **{field: number + 1})

    threads = [threading.Thread(target=count, args=(field,)) for field in ("done", "total")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (jobs.get("t", job.id).done, jobs.get("t", job.id).total) == (50, 50)


def test_what_is_over_stays_as_it_is(catalog: SqliteCatalog) -> None:
    jobs, job = CatalogVerifications(catalog), made()
    jobs.create(job)
    jobs.cancel("t", job.id, 5)
    with pytest.raises(ConflictError, match="is cancelled"):
        jobs.cancel("t", job.id, 6)
    with pytest.raises(ConflictError):
        jobs.finish(job, report(), 7)
    assert (jobs.get("t", job.id).state, jobs.get("t", job.id).finished_ns) == ("cancelled", 5)
    assert catalog.list("verification-reports/") == []
    with pytest.raises(NotFoundError):
        jobs.get("other", job.id)


def test_a_whole_report_is_handed_on_once_and_its_first_findings_are_kept(catalog: SqliteCatalog) -> None:
    jobs, job = CatalogVerifications(catalog), made()
    jobs.create(job)
    done = jobs.finish(job, report(MAX_FINDINGS + 1), NOW_NS)
    assert done.result is not None and len(done.result.findings) == MAX_FINDINGS
    whole = jobs.take_report(done)
    assert whole is not None and len(whole.findings) == MAX_FINDINGS + 1
    assert jobs.take_report(done) == done.result
    assert (done.done, done.total, done.finished_ns) == (3, 3, NOW_NS)


def test_findings_go_with_what_is_deleted(catalog: SqliteCatalog) -> None:
    jobs = CatalogVerifications(catalog)
    concerned = [made(1), made(1, "location"), made(2 * NOW_NS)]  # the last by a clock that was wrong
    others = [made(1, "signals"), made(NOW_NS - 1)]
    for job in (*concerned, *others):
        jobs.create(job)
        jobs.finish(job, report(), NOW_NS)
    under_way = made(1)
    jobs.create(under_way)
    jobs.remove_findings("t", "location", NOW_NS - 2, NOW_NS)
    jobs.finish(under_way, report(), NOW_NS)
    for job in (*concerned, under_way):
        kept = jobs.take_report(jobs.get("t", job.id))
        assert kept is not None
        assert (kept.findings, kept.counts) == ([], {"point_differs": 1})
        assert "deleted meanwhile" in kept.notes[0]
    for job in others:
        kept = jobs.take_report(jobs.get("t", job.id))
        assert kept is not None and kept.findings == [FINDING]
    ours = {job.id for job in (*concerned, under_way)}
    entries = catalog.list("verification")
    assert not [entry for entry in entries if b"2.5" in entry.value and entry.key.rpartition("/")[2] in ours]
