"""A verification: whether everything is accounted for. What is asked for, and the report. A kind of job that a worker
does."""

from typing import ClassVar, Literal

import msgspec

from tidemill.model.job import Job, Role


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What of a tenant to verify: of one feed (empty: of all), received at or after `since_ns` (null: ever).
    `followed`: somebody waits for the whole report, so that it is handed on and an unreachable store ends the work."""

    feed: str = ""
    since_ns: int | None = None
    followed: bool = False


class VerifyFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not add up. `receipt`: of the payload it is about (empty: it is about none); `code`: see
    `mill/verify/kinds.py`."""

    code: str
    tenant: str
    what: str
    expected: str
    found: str
    feed: str = ""
    seq: int | None = None
    receipt: str = ""


class Totals(msgspec.Struct, kw_only=True):
    """What was walked over. `deleted`: payloads whose bytes were deleted, so that nobody can count their records;
    `recovered`: rejections that a replay made good (they count as accepted); `points`: those that stand; `replaced`,
    `removed`: points of accepted records that another one replaced, or that a deletion or retention took; `waiting`:
    entries of the log beyond the place that the mill has reached."""

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
        """Count what another count has, too."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. `counts`: all findings by code, also those that are not in `findings`; `notes`: what a reader
    should know and that is no fault; `complete`: false when it was given up before its end."""

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
    """A verification as it stands; `result` is the report with its first findings, or, where something was deleted that
    they may name, without any (`without_findings`)."""

    PREFIX: ClassVar[str] = "verifications/"
    ROLE: ClassVar[Role] = "worker"

    kind: Literal["verify"] = "verify"
    without_findings: bool = False
