"""Collects what a verification finds: of each kind at most so many findings in full, and the counts of all."""

from typing import Final

import msgspec

from tidemill.mill.verify.kinds import FindingKind
from tidemill.model.verification import VerifyFinding

MAX_SHOWN: Final = 1_000  # of each kind; beyond it they are counted


class Findings:
    """Collects findings."""

    def __init__(self) -> None:
        self.shown: list[VerifyFinding] = []
        self.counts: dict[str, int] = {}

    def room(self, kind: type[FindingKind]) -> int:
        """How many more of a kind are kept in full."""
        return max(0, MAX_SHOWN - self.counts.get(kind.code, 0))

    def add(
        self, kind: type[FindingKind], *, tenant: str, what: str, expected: object, observed: object, **of: object
    ) -> None:
        """Note one finding."""
        if self.room(kind):
            given = {
                "code": kind.code,
                "tenant": tenant,
                "what": what,
                "expected": str(expected),
                "found": str(observed),
            }
            self.shown.append(msgspec.convert(given | of, VerifyFinding))
        self.more(kind, 1)

    def more(self, kind: type[FindingKind], count: int) -> None:
        """Count findings that are not kept in full."""
        if count > 0:
            self.counts[kind.code] = self.counts.get(kind.code, 0) + count

    def merge(self, other: "Findings") -> None:
        """Add the findings of another collection."""
        for finding in other.shown:
            if sum(shown.code == finding.code for shown in self.shown) < MAX_SHOWN:
                self.shown.append(finding)
        for code, count in other.counts.items():
            self.counts[code] = self.counts.get(code, 0) + count
