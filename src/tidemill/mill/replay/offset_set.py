"""A set of places in the log: as it is bound to a query, and as it filters a frame."""

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

_SPARSE: Final = 20_000  # so few are bound one by one: 160 kB


class OffsetSet:
    """Some places (seq). To a query they go as a range, and one by one where they are few."""

    def __init__(self, seqs: pl.Series) -> None:
        self.seqs = seqs.cast(pl.UInt64).unique().sort()

    @property
    def bound(self) -> dict[str, Any]:
        """The values `low`, `high`, `sparse`, `seqs` of a query."""
        sparse = len(self.seqs) <= _SPARSE
        low, high = (self.seqs[0], self.seqs[-1]) if len(self.seqs) else (1, 0)
        return {"low": low, "high": high, "sparse": sparse, "seqs": self.seqs if sparse else []}

    def parts(self) -> Iterator["OffsetSet"]:
        """These places in parts that are bound one by one."""
        for start in range(0, len(self.seqs), _SPARSE):
            yield OffsetSet(self.seqs[start : start + _SPARSE])

    def has(self, column: str = "seq") -> pl.Expr:
        """Whether a column's place is among these."""
        return pl.col(column).is_in(self.seqs.implode())
