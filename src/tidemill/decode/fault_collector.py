"""Collects the faults of one payload or record: the first hundred in full, of the rest the codes and the number.

The size is bounded: at most a hundred faults are kept while a record is read, and the ledger gets at most DETAIL_BYTES
of text, which says how many faults it leaves out (with what the ledger adds, it is below 1 KiB).
"""

from collections.abc import Sequence
from typing import Final

from tidemill.errors import Fault, count_of_faults

MAX_FAULTS: Final = 100
LONGEST: Final = 300  # characters of a path or a message
DETAIL_BYTES: Final = 900  # of a record's faults in the ledger, in UTF-8
_DETAIL_FAULTS: Final = 10  # named in it
_ROOM: Final = 40  # bytes for "; 1234567 more faults"
_SUMMARY: Final = "more_faults"


class FaultCollector:
    """Collects faults in order. `count` is the number of all faults, kept or not; `marks` are the codes of what is no
    fault but is said of the record's points."""

    __slots__ = ("_codes", "_kept", "_paths", "count", "marks")

    def __init__(self) -> None:
        self._kept: list[Fault] = []
        self._codes: dict[str, None] = {}
        self._paths: set[str] | None = None  # of what is kept; made when it is first needed
        self.count = 0
        self.marks: dict[str, None] = {}

    def mark(self, code: str) -> None:
        """Mark the record with a code."""
        self.marks[code] = None

    def add(self, path: str, code: str, message: str) -> None:
        """Add a fault."""
        self.count += 1
        self._codes[code] = None
        if self.count <= MAX_FAULTS:
            if len(path) > LONGEST or not path.isascii():
                path = _presentable(path)
            if len(message) > LONGEST or not message.isascii():
                message = _presentable(message)
            self._kept.append(Fault(path, code, message))
            if self._paths is not None:
                self._paths.add(path)

    def add_once(self, path: str, code: str, message: str) -> None:
        """Add a fault unless a kept fault has the same path."""
        if self.count <= MAX_FAULTS:
            if self._paths is None:
                self._paths = {fault.path for fault in self._kept}
            if _presentable(path) in self._paths:
                return
        self.add(path, code, message)

    def extend(self, others: "FaultCollector") -> None:
        """Add the faults and marks of another collector, but for faults that are kept already: what is above several
        records is at fault once."""
        known = set(self._kept)
        new = [fault for fault in others._kept if fault not in known]
        self._kept += new[: max(0, MAX_FAULTS - len(self._kept))]
        self._paths = None
        self._codes.update(others._codes)
        self.marks |= others.marks
        self.count += others.count - (len(others._kept) - len(new))

    def reworded(self, words: str, others: str) -> "FaultCollector":
        """The kept faults, with other words in their messages."""
        changed = FaultCollector()
        for fault in self._kept:
            changed.add(fault.path, fault.code, fault.message.replace(words, others))
        return changed

    def only(self, paths: tuple[str, ...]) -> "FaultCollector":
        """The kept faults at these paths, or below them."""
        chosen = FaultCollector()
        for fault in self._kept:
            if any(
                fault.path.removeprefix(path)[:1] in ("", "[", ".") for path in paths if fault.path.startswith(path)
            ):
                chosen.add(fault.path, fault.code, fault.message)
        return chosen

    def all(self, *, stopped: bool = False) -> tuple[Fault, ...]:
        """The kept faults, and one more that says how many were not kept. `stopped`: the payload was not read to its
        end."""
        left = self.count - len(self._kept)
        if not left and not stopped:
            return tuple(self._kept)
        message = f"{'at least ' if stopped else ''}{count_of_faults(left, more=True)}"
        return (*self._kept, Fault("$", _SUMMARY, message))

    def codes(self) -> tuple[str, ...]:
        """The distinct codes of all faults, kept or not, in order of appearance."""
        return tuple(self._codes)

    def detail(self) -> str:
        """Paths and messages as one text, for the ledger."""
        return faults_detail(self._kept, self.count)


def faults_detail(faults: Sequence[Fault], count: int) -> str:
    """The first ten of `count` faults as one text of at most DETAIL_BYTES, paths and messages, and how many faults it
    leaves out."""
    named: list[str] = []
    room = DETAIL_BYTES - _ROOM
    for fault in faults[:_DETAIL_FAULTS]:
        text = f"{fault.path}: {fault.message}"
        size = len(text) if text.isascii() else len(text.encode())
        if named and size + 2 > room:
            break
        named.append(text if size <= room else text.encode()[: room - 3].decode("utf-8", "ignore") + "…")
        room -= size + 2
    left = count - len(named)
    return "; ".join([*named, count_of_faults(left, more=True)] if left else named)


def _presentable(text: str) -> str:
    """The first LONGEST characters, with those that UTF-8 cannot encode escaped."""
    if len(text) <= LONGEST and text.isascii():
        return text
    return text[:LONGEST].encode("utf-8", "backslashreplace").decode("utf-8")
