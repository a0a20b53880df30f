"""The table of the comparison: a row a figure, a column a system, and how many times as good Tidemill is."""

from collections.abc import Sequence
from dataclasses import dataclass, field

_WIDTH = 22


@dataclass
class Column:
    """The figures of one system by row; `values`: how many values each question was answered with; `more_is_better`:
    the rows of which a larger figure is the better one."""

    name: str
    version: str
    acknowledgement: str
    figures: dict[str, float] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)
    more_is_better: set[str] = field(default_factory=set)
    notes: str = ""

    def add(self, row: str, figure: float, *, more_is_better: bool = False) -> None:
        """Add the figure of a row."""
        self.figures[row] = figure
        if more_is_better:
            self.more_is_better.add(row)


def print_table(columns: Sequence[Column]) -> None:
    """Print all figures. Beside those of a peer: how many times as good the first column is (above 1: better)."""
    if not columns:
        return
    first = columns[0]
    print(_row("", [f"{column.name} {column.version}"[: _WIDTH + 8] for column in columns]))
    for row, figure in first.figures.items():
        cells = [_number(figure)]
        for column in columns[1:]:
            other = column.figures[row]
            better, worse = (figure, other) if row in first.more_is_better else (other, figure)
            cells.append(f"{_number(other)} ({better / worse:.2f}x)" if worse else _number(other))
        print(_row(row, cells))
    print(f"\nIn brackets: how many times as good {first.name} is.")
    for column in columns:
        print(f"{column.name}: acknowledged is {column.acknowledgement}. {column.notes}".rstrip(". ") + ".")
    for question in first.values:
        counts = {column.name: column.values[question] for column in columns}
        if len(set(counts.values())) > 1:
            print(f"values in the answers to '{question}': {counts}")


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<42}" + "".join(f"{cell:>{_WIDTH + 10}}" for cell in cells)


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1_000 else f"{figure:,.1f}" if figure >= 10 else f"{figure:,.2f}"
