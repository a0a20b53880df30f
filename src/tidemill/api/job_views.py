"""Jobs as they are answered: what is common to all kinds, what each was asked for, and what came of it."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidemill.model.job import AnyJob, State
from tidemill.model.replay import RejectionFilter, Replay, ReplayOutcome
from tidemill.model.time import format_instant
from tidemill.model.verification import Totals, Verification, VerifyFinding, VerifyReport


class JobProgress(msgspec.Struct, frozen=True):
    """How many payloads are through, of how many, and what the job is at, if it says so."""

    done: int
    total: int
    step: str | None


class RejectionSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payloads with rejected records that match all that is given. Times are of receipt, [start, end)."""

    reason: str | None = None
    receipt: str | None = None
    start: str | None = None
    end: str | None = None


class PayloadSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which payloads: by time of receipt [start, end), by receipts, or by their rejections."""

    start: str | None = None
    end: str | None = None
    receipts: tuple[str, ...] | None = None
    rejections: RejectionSelection | None = None


class WindowValue(msgspec.Struct, frozen=True):
    """A rollup window: `mean` is null where it has no points."""

    mean: float | None
    count: int


class ChangedWindow(msgspec.Struct, frozen=True):
    """A rollup window that changes."""

    series: str
    window: str
    every_s: int
    old: WindowValue
    new: WindowValue


class ChangedPoint(msgspec.Struct, frozen=True):
    """A value that changes: null where there was none before, or is none after."""

    series: str
    time: str
    old: float | None
    new: float | None


class ReplayDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay changes, or would change. Counts are of records unless they say otherwise; `newly_accepted` is by
    the reason that falls, `newly_rejected` by the new one. `windows` and `points` are those with the largest change."""

    payloads: int
    records: int
    accepted_before: int
    accepted_after: int
    newly_accepted_total: int
    newly_rejected_total: int
    newly_accepted: dict[str, int]
    newly_rejected: dict[str, int]
    reasons_changed: int
    points_added: int
    points_removed: int
    points_changed: int
    windows_changed: int
    largest_window_change: float | None
    largest_point_change: float | None
    windows: list[ChangedWindow]
    points: list[ChangedPoint]


class VerifyReportItem(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification came to. `counts`: every finding by its code, also those that `findings` does not list;
    `notes`: what a reader should know and that is no fault; `complete`: false when it was given up before its end;
    `adds_up`: everything is accounted for."""

    totals: Totals
    counts: dict[str, int]
    findings: list[VerifyFinding]
    notes: list[str]
    seconds: float
    complete: bool
    adds_up: bool


class ReplayJobRequest(msgspec.Struct, frozen=True):
    """What a replay was asked for: the `version` of a feed to apply, to which payloads. Of a dry run nothing is
    written."""

    feed: str
    version: int
    dry_run: bool
    payloads: PayloadSelection


class VerifyJobRequest(msgspec.Struct, frozen=True):
    """What a verification was asked for: one feed (null: all), what was received from an instant on (null: all)."""

    feed: str | None
    since: str | None


class ReplayJob(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="replay"):
    """A job that puts payloads through the rules again. `result` is what it changed, or would change."""

    id: str
    state: State
    request: ReplayJobRequest
    progress: JobProgress
    created_at: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    result: ReplayDifference | None
    links: dict[str, str]


class VerifyJob(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="verify"):
    """A job that proves that everything is accounted for. `result` is the report; of its findings at most a hundred."""

    id: str
    state: State
    request: VerifyJobRequest
    progress: JobProgress
    created_at: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    result: VerifyReportItem | None
    links: dict[str, str]


JobItem = ReplayJob | VerifyJob


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs, newest first."""

    items: list[ReplayJob | VerifyJob]
    next: str | None


def replay_job(job: Replay) -> ReplayJob:
    """A replay as a job."""
    request = job.request
    links = {"replay": f"/v1/replays/{job.id}", "rejections": f"/v1/rejections?feed={request.feed}&recovered=only"}
    return ReplayJob(
        **_common(job),
        request=ReplayJobRequest(request.feed, request.version, request.dry_run, selection(job)),
        result=None if job.result is None else difference(job.result),
        links={"self": f"/v1/jobs/{job.id}", **links, "changes": f"/v1/changes?feed={request.feed}"},
    )


def verify_job(job: Verification) -> VerifyJob:
    """A verification as a job."""
    return VerifyJob(
        **_common(job),
        request=VerifyJobRequest(job.request.feed or None, time_text(job.request.since_ns)),
        result=None if job.result is None else report(job.result),
        links={"self": f"/v1/jobs/{job.id}"},
    )


VIEWS: Final[dict[str, Callable[[Any], JobItem]]] = {"replay": replay_job, "verify": verify_job}


def job_item(job: AnyJob) -> JobItem:
    """A job of any kind as it is answered."""
    return VIEWS[job.kind](job)


def _common(job: AnyJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "progress": JobProgress(job.done, job.total, job.step or None),
        "created_at": format_instant(job.created_ns),
        "started_at": time_text(job.started_ns),
        "finished_at": time_text(job.finished_ns),
        "error": job.error or None,
    }


def selection(job: Replay) -> PayloadSelection:
    """Which payloads a replay takes."""
    request = job.request
    return PayloadSelection(
        start=time_text(request.start_ns),
        end=time_text(request.end_ns),
        receipts=request.receipts,
        rejections=None if request.rejections is None else _rejections(request.rejections),
    )


def difference(changes: ReplayOutcome) -> ReplayDifference:
    """What a replay changes, with times as they are read."""
    windows = [
        ChangedWindow(
            series=window.series,
            window=format_instant(window.window_ns),
            every_s=window.every_s,
            old=WindowValue(window.old_mean, window.old_count),
            new=WindowValue(window.new_mean, window.new_count),
        )
        for window in changes.windows
    ]
    points = [
        ChangedPoint(point.series, format_instant(point.time_ns), point.old, point.new) for point in changes.points
    ]
    return ReplayDifference(**msgspec.structs.asdict(changes) | {"windows": windows, "points": points})


def report(outcome: VerifyReport) -> VerifyReportItem:
    """A report, with its verdict."""
    return VerifyReportItem(**msgspec.structs.asdict(outcome), adds_up=outcome.adds_up)


def time_text(ns: int | None) -> str | None:
    """A time as it is read; null stays null."""
    return None if ns is None else format_instant(ns)


def _rejections(only: RejectionFilter) -> RejectionSelection:
    return RejectionSelection(
        reason=only.reason, receipt=only.receipt, start=time_text(only.start_ns), end=time_text(only.end_ns)
    )
