"""Verifications in the catalog: jobs whose report is kept with its first findings, and once as a whole for the client
that waits.

Findings may name values and times of points, so a deletion removes them, also from a report that is being made.
"""

from typing import Final

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.catalog.jobs import CatalogJobs
from tidemill.model.job import OVER, RUNNING, UNDER_WAY
from tidemill.model.verification import Verification, VerifyReport

MAX_FINDINGS: Final = 100  # of a report that is kept; the counts are of all
_REPORTS: Final = "verification-reports/"  # prefix of whole reports, each until it is taken
_REMOVED: Final = "its findings are not kept: something that they may name was deleted meanwhile"


class CatalogVerifications(CatalogJobs[Verification]):
    """The verifications of all tenants. Every method raises what the catalog raises."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog, Verification)

    def finish(self, job: Verification, report: VerifyReport, now_ns: int) -> Verification:
        """Set a verification to done with its report; if it is followed, its whole report can be taken. Raises
        ConflictError when it is over already."""
        if job.request.followed:
            self._catalog.put(_report_key(job), msgspec.json.encode(report))

        def finished(now: Verification) -> Verification:
            kept = _bare(report) if now.without_findings else report
            kept = msgspec.structs.replace(kept, findings=kept.findings[:MAX_FINDINGS])
            count = report.totals.payloads
            through = {"step": "", "done": count, "total": max(count, now.total)}
            return msgspec.structs.replace(now, state="done", finished_ns=now_ns, result=kept, **through)

        done: Verification | None = None
        try:
            done = self.edit(job, finished, only=RUNNING)
        finally:
            if done is None or done.without_findings:
                self._catalog.delete(_report_key(job))
        return done

    def take_report(self, job: Verification) -> VerifyReport | None:
        """The report of a verification that is done: the whole report at the first call, later with its first
        findings."""
        entry = self._catalog.get(_report_key(job))
        if entry is None:
            return job.result
        self._catalog.delete(_report_key(job))
        return msgspec.json.decode(entry.value, type=VerifyReport)

    def remove_reports(self) -> None:
        """Remove whole reports that were not taken."""
        for entry in self._catalog.list(_REPORTS):
            self._catalog.delete(entry.key)

    def remove_findings(self, tenant: str, feed: str, until_ns: int, now_ns: int) -> None:
        """Remove the findings from reports that may name what was deleted of a feed: of verifications made at or before
        `until_ns`, also of running ones. A verification made after `now_ns` has the time of a wrong clock, and is
        treated as made before."""
        for job in self.list(tenant):
            later = until_ns < job.created_ns <= now_ns
            if later or job.request.feed not in ("", feed) or job.state == "queued":
                continue
            if job.state == "running" or (job.result is not None and job.result.findings):
                self.edit(job, _without_findings, only=OVER | UNDER_WAY)
            if job.request.followed:
                self._catalog.delete(_report_key(job))


def _without_findings(job: Verification) -> Verification:
    bare = None if job.result is None else _bare(job.result)
    return msgspec.structs.replace(job, without_findings=True, result=bare)


def _bare(report: VerifyReport) -> VerifyReport:
    notes = report.notes if _REMOVED in report.notes or not report.findings else [*report.notes, _REMOVED]
    return msgspec.structs.replace(report, findings=[], notes=notes)


def _report_key(job: Verification) -> str:
    return f"{_REPORTS}{job.tenant}/{job.id}"
