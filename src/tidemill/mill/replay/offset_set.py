"""A set of offsets in the log: as it is bound to a query, and as it filters a frame."""

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

_SPARSE: Final = 20_000  # at most so many are bound as a list: 160 kB


class OffsetSet:
    """A set of offsets (seq). A query takes them as a range, and as a list as well where they are few."""

    def __init__(self, seqs: pl.Series) -> None:
        self.seqs = seqs.cast(pl.UInt64).unique().sort()

    @property
    def bound(self) -> dict[str, Any]:
        """The values `low`, `high`, `sparse`, `seqs` of a query."""
        sparse = len(self.seqs) <= _SPARSE
        low, high = (self.seqs[0], self.seqs[-1]) if len(self.seqs) else (1, 0)
        return {"low": low, "high": high, "sparse": sparse, "seqs": self.seqs if sparse else []}

    def parts(self) -> Iterator["OffsetSet"]:
        """The offsets in parts that are bound as lists."""
        for start in range(0, len(self.seqs), _SPARSE):
            yield OffsetSet(self.seqs[start : start + _SPARSE])

    def has(self, column: str = "seq") -> pl.Expr:
        """Whether a column's offset is in the set."""
        return pl.col(column).is_in(self.seqs.implode())
