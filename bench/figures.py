"""A measured figure beside the figure asked for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`measured` against `asked`; `at_most` says which side of `asked` is good. `asked` None: for information."""

    name: str
    measured: float
    unit: str
    asked: float | None = None
    at_most: bool = True

    @property
    def missed(self) -> bool:
        if self.asked is None:
            return False
        return self.measured > self.asked if self.at_most else self.measured < self.asked

    def __str__(self) -> str:
        text = f"{self.name:<44} {self.measured:>12,.1f} {self.unit}"
        if self.asked is None:
            return text
        side = "at most" if self.at_most else "at least"
        return f"{text:<72} {side} {self.asked:,g}: {'MISSED' if self.missed else 'reached'}"
