"""Faults as they are found: the first hundred in full, the rest as a number."""

from collections.abc import Iterable
from typing import Final

from tidemill.errors import Fault, count_of_faults

MAX_FAULTS: Final = 100


class Faults:
    """Collects faults in order. `count` is how many there were, kept or not."""

    def __init__(self) -> None:
        self._kept: list[Fault] = []
        self.count = 0

    def add(self, path: str, code: str, message: str) -> None:
        """Note one fault."""
        self.count += 1
        if self.count <= MAX_FAULTS:
            self._kept.append(Fault(_presentable(path), code, _presentable(message)))

    def add_once(self, path: str, code: str, message: str) -> None:
        """Note one fault unless this path has one already."""
        if all(fault.path != _presentable(path) for fault in self._kept):
            self.add(path, code, message)

    def extend(self, others: "Faults") -> None:
        """Take over what another found."""
        room = max(0, MAX_FAULTS - len(self._kept))
        self._kept += others._kept[:room]
        self.count += others.count

    def all(self, *, stopped: bool = False) -> tuple[Fault, ...]:
        """What was kept, and one more that says how many were not. `stopped`: reading ended before the end."""
        left = self.count - len(self._kept)
        if not left and not stopped:
            return tuple(self._kept)
        message = f"{'at least ' if stopped else ''}{count_of_faults(left, more=True)}"
        return (*self._kept, Fault("$", "more_faults", message))


def codes(faults: Iterable[Fault]) -> list[str]:
    """The distinct codes, in order of appearance."""
    return list(dict.fromkeys(fault.code for fault in faults if fault.code != "more_faults"))


def sentence(faults: Iterable[Fault]) -> str:
    """Paths and messages as one text, for the ledger."""
    return "; ".join(f"{fault.path}: {fault.message}" for fault in list(faults)[:10])


def _presentable(text: str) -> str:
    """At most 300 characters, and none that UTF-8 cannot write."""
    return text[:300].encode("utf-8", "backslashreplace").decode("utf-8")
