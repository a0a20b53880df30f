"""A verification: counts and compares whether everything is accounted for. Its request, and its report. A kind of job
that a worker runs."""

from typing import ClassVar, Literal

import msgspec

from tidemill.model.job import Job, Role


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to verify of a tenant: one feed (empty: all feeds), received at or after `since_ns` (null: at any time).
    `followed`: a client waits for the whole report; so the report is kept for that client, and an unreachable store
    ends the work."""

    feed: str = ""
    since_ns: int | None = None
    followed: bool = False


class VerifyFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A difference: `what` should be `expected`, and is `observed`. `receipt`: of the payload that it concerns (empty:
    it concerns no payload); `code`: see `mill/verify/kinds.py`."""

    code: str
    tenant: str
    what: str
    expected: str
    observed: str = msgspec.field(name="found")
    feed: str = ""
    seq: int | None = None
    receipt: str = ""


class Totals(msgspec.Struct, kw_only=True):
    """What was counted. `deleted`: payloads whose bytes were deleted, so that their records cannot be counted;
    `recovered`: rejections whose records a replay accepted (they count as accepted); `points`: the current points;
    `replaced`, `removed`: points of accepted records that were superseded, or that a deletion or the retention removed;
    `waiting`: entries of the log beyond the mill's applied offset."""

    payloads: int = 0
    deleted: int = 0
    records: int = 0
    accepted: int = 0
    rejected: int = 0
    recovered: int = 0
    points: int = 0
    replaced: int = 0
    removed: int = 0
    windows: int = 0
    sealed: int = 0
    log_entries: int = 0
    waiting: int = 0

    def add(self, other: "Totals") -> None:
        """Add every number of another count."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a verification. `counts`: all findings by code, also those that are not in `findings`; `notes`:
    remarks that are no faults; `complete`: false when the verification broke off."""

    totals: Totals
    counts: dict[str, int]
    findings: list[VerifyFinding]
    notes: list[str]
    seconds: float
    complete: bool = True

    @property
    def adds_up(self) -> bool:
        """Whether everything is accounted for."""
        return self.complete and not self.counts


class Verification(Job[VerifyRequest, VerifyReport], frozen=True, kw_only=True):
    """A verification as a job; `result` is the report with its first findings, or without any (`without_findings`) if
    something was deleted that findings may name. `by`: the id of the key that asked for it ("": not known)."""

    PREFIX: ClassVar[str] = "verifications/"
    ROLE: ClassVar[Role] = "worker"

    kind: Literal["verify"] = "verify"
    without_findings: bool = False
    by: str = ""
