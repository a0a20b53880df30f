"""What a verification comes to: findings, of each kind at most so many in full, and what was counted on the way."""

from typing import Final

import msgspec

from tidemill.mill.verify.kinds import Kind

MAX_SHOWN: Final = 1_000  # of each kind; beyond it they are counted


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not add up. `receipt`: of the payload it is about (empty: it is about none); `code`: see
    `kinds.MEANINGS`."""

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


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. `counts`: all findings by code, also those beyond MAX_SHOWN; `notes`: what a reader should know and
    that is no fault; `complete`: false when it was given up before its end."""

    totals: Totals
    counts: dict[str, int]
    findings: list[Finding]
    notes: list[str]
    seconds: float
    complete: bool = True

    @property
    def adds_up(self) -> bool:
        """Whether everything is accounted for."""
        return self.complete and not self.counts


class Findings:
    """Collects findings."""

    def __init__(self) -> None:
        self.shown: list[Finding] = []
        self.counts: dict[str, int] = {}

    def room(self, kind: type[Kind]) -> int:
        """How many more of a kind are kept in full."""
        return max(0, MAX_SHOWN - self.counts.get(kind.code, 0))

    def add(self, kind: type[Kind], *, tenant: str, what: str, expected: object, found: object, **of: object) -> None:
        """Note one finding."""
        if self.room(kind):
            given = {"code": kind.code, "tenant": tenant, "what": what, "expected": str(expected), "found": str(found)}
            self.shown.append(msgspec.convert(given | of, Finding))
        self.more(kind, 1)

    def more(self, kind: type[Kind], count: int) -> None:
        """Count findings that are not kept in full."""
        if count > 0:
            self.counts[kind.code] = self.counts.get(kind.code, 0) + count

    def merge(self, other: "Findings") -> None:
        """Take over another's."""
        for finding in other.shown:
            if sum(one.code == finding.code for one in self.shown) < MAX_SHOWN:
                self.shown.append(finding)
        for code, count in other.counts.items():
            self.counts[code] = self.counts.get(code, 0) + count
