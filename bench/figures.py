"""A measured figure and its target."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`measured` against `target`, a maximum if `at_most`, else a minimum. `target` None: for information."""

    name: str
    measured: float
    unit: str
    target: float | None = None
    at_most: bool = True

    @property
    def missed(self) -> bool:
        if self.target is None:
            return False
        return self.measured > self.target if self.at_most else self.measured < self.target

    def __str__(self) -> str:
        text = f"{self.name:<44} {self.measured:>12,.1f} {self.unit}"
        if self.target is None:
            return text
        side = "at most" if self.at_most else "at least"
        return f"{text:<72} {side} {self.target:,g}: {'MISSED' if self.missed else 'reached'}"
