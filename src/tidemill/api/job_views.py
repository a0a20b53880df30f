"""Jobs as the API answers them: the members common to all kinds, the request of each kind, and its result."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidemill.model.forecast import Fit
from tidemill.model.job import AnyJob, State
from tidemill.model.replay import LedgerRecord, RejectionFilter, Replay, ReplayOutcome
from tidemill.model.time import format_instant
from tidemill.model.verification import Totals, Verification, VerifyFinding, VerifyReport
from tidemill.query.forecast_answers import ForecastParameters, forecast_parameters


class JobProgress(msgspec.Struct, frozen=True):
    """How many payloads are done, of how many, and the step that the job is at (null: unknown)."""

    done: int
    total: int
    step: str | None


class RejectionSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payloads with rejected records that match every given member. Times are of receipt, [start, end). `items`: these
    very records."""

    reason: str | None = None
    receipt: str | None = None
    start: str | None = None
    end: str | None = None
    items: tuple[LedgerRecord, ...] | None = None


class PayloadSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which payloads a replay takes: by time of receipt [start, end), by receipts, or by their rejections."""

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
    """What a replay changes, or would change. Counts are of records unless named otherwise; `newly_accepted` is by the
    former reason, `newly_rejected` by the new one. `windows` and `points` are those with the largest change."""

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
    """The result of a verification. `counts`: the number of findings by code, also of those that `findings` does not
    list; `notes`: remarks that are no fault; `complete`: false when the verification was ended before its end;
    `adds_up`: everything is accounted for."""

    totals: Totals
    counts: dict[str, int]
    findings: list[VerifyFinding]
    notes: list[str]
    seconds: float
    complete: bool
    adds_up: bool


class ReplayJobRequest(msgspec.Struct, frozen=True):
    """The request of a replay: the `version` of a feed to apply, and to which payloads. A dry run writes nothing.
    `draft`: a draft was applied, and `version` is the one that was in force."""

    feed: str
    version: int
    dry_run: bool
    draft: bool
    payloads: PayloadSelection


class VerifyJobRequest(msgspec.Struct, frozen=True):
    """The request of a verification: one feed (null: all), what was received from an instant on (null: all)."""

    feed: str | None
    since: str | None


class ReplayJob(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="replay"):
    """A job that applies the rules to payloads again. `result` is what it changed, or would change."""

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
    """A job that proves that everything is accounted for. `result` is the report, with at most a hundred findings."""

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


class ForecastJobRequest(msgspec.Struct, frozen=True):
    """The request of a forecast: the series, and the parameters that were given."""

    series: str
    parameters: ForecastParameters


class ForecastJobResult(msgspec.Struct, frozen=True):
    """The id of the stored forecast."""

    forecast: str


class ForecastJob(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="forecast"):
    """A job that makes a forecast and stores it. `result` names the forecast; `progress` counts steps, not payloads."""

    id: str
    state: State
    request: ForecastJobRequest
    progress: JobProgress
    created_at: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    result: ForecastJobResult | None
    links: dict[str, str]


JobItem = ReplayJob | VerifyJob | ForecastJob


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs, newest first."""

    items: list[ReplayJob | VerifyJob | ForecastJob]
    next: str | None


def replay_job(job: Replay) -> ReplayJob:
    """A replay as a job."""
    request = job.request
    links = {"replay": f"/v1/replays/{job.id}", "rejections": f"/v1/rejections?feed={request.feed}&recovered=only"}
    return ReplayJob(
        **_common(job),
        request=ReplayJobRequest(request.feed, request.version, request.dry_run, request.draft, payload_selection(job)),
        result=None if job.result is None else replay_difference(job.result),
        links={"self": f"/v1/jobs/{job.id}", **links, "changes": f"/v1/changes?feed={request.feed}"},
    )


def verify_job(job: Verification) -> VerifyJob:
    """A verification as a job."""
    return VerifyJob(
        **_common(job),
        request=VerifyJobRequest(job.request.feed or None, instant_text(job.request.since_ns)),
        result=None if job.result is None else verify_report_item(job.result),
        links={"self": f"/v1/jobs/{job.id}"},
    )


def forecast_job(job: Fit) -> ForecastJob:
    """A fit as a job."""
    links = {"self": f"/v1/jobs/{job.id}", "series": f"/v1/series/{job.request.series}"}
    if job.result is not None:
        links["forecast"] = f"/v1/forecasts/{job.result.forecast}"
    return ForecastJob(
        **_common(job),
        request=ForecastJobRequest(job.request.series, forecast_parameters(job.request.parameters)),
        result=None if job.result is None else ForecastJobResult(job.result.forecast),
        links=links,
    )


VIEWS: Final[dict[str, Callable[[Any], JobItem]]] = {
    "replay": replay_job,
    "verify": verify_job,
    "forecast": forecast_job,
}


def job_item(job: AnyJob) -> JobItem:
    """A job of any kind as the API answers it."""
    return VIEWS[job.kind](job)


def _common(job: AnyJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "progress": JobProgress(job.done, job.total, job.step or None),
        "created_at": format_instant(job.created_ns),
        "started_at": instant_text(job.started_ns),
        "finished_at": instant_text(job.finished_ns),
        "error": job.error or None,
    }


def payload_selection(job: Replay) -> PayloadSelection:
    """Which payloads a replay takes."""
    request = job.request
    return PayloadSelection(
        start=instant_text(request.start_ns),
        end=instant_text(request.end_ns),
        receipts=request.receipts,
        rejections=None if request.rejections is None else _rejection_selection(request.rejections),
    )


def replay_difference(changes: ReplayOutcome) -> ReplayDifference:
    """What a replay changes, with times as RFC 3339."""
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


def verify_report_item(outcome: VerifyReport) -> VerifyReportItem:
    """The report of a verification, with its verdict `adds_up`."""
    return VerifyReportItem(**msgspec.structs.asdict(outcome), adds_up=outcome.adds_up)


def instant_text(ns: int | None) -> str | None:
    """A time as RFC 3339; null stays null."""
    return None if ns is None else format_instant(ns)


def _rejection_selection(only: RejectionFilter) -> RejectionSelection:
    return RejectionSelection(
        reason=only.reason,
        receipt=only.receipt,
        start=instant_text(only.start_ns),
        end=instant_text(only.end_ns),
        items=only.items,
    )
