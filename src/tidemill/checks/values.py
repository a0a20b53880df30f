"""Checks of one value by itself: ranges and lists of what is allowed."""

import polars as pl

from tidemill.checks.check import Check, Columns
from tidemill.checks.faults import field_faults


class Range(Check, frozen=True):
    """The value of `field` is below `min` or above `max` (both inclusive; a missing value passes)."""

    name = "range"
    reason = "outside_range"
    field: str
    min: float | None = None
    max: float | None = None

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """`field` must exist, one bound must be given, and `min` must not be above `max`."""
        found = field_faults(columns, self.field)
        if self.min is None and self.max is None:
            found.append(("min", "give min, max or both"))
        if self.min is not None and self.max is not None and self.min > self.max:
            found.append(("min", f"min {self.min} is above max {self.max}"))
        return found

    def broken(self) -> pl.Expr:
        """Outside of the bounds."""
        value = pl.col(f"f.{self.field}")
        low = pl.lit(False) if self.min is None else value < self.min
        high = pl.lit(False) if self.max is None else value > self.max
        return low | high

    def explain(self) -> str:
        """The bounds."""
        low = "" if self.min is None else f" from {self.min:g}"
        high = "" if self.max is None else f" to {self.max:g}"
        return f"{self.field} is outside the range{low}{high}"


class OneOf(Check, frozen=True):
    """The tag `tag` has none of the allowed `values` (a tag that is not there passes)."""

    name = "one_of"
    reason = "not_allowed"
    tag: str
    values: tuple[str, ...]

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """`tag` must exist and `values` must not be empty."""
        found = [] if self.values else [("values", "name at least one allowed value")]
        if self.tag not in columns.tags:
            known = ", ".join(columns.tags) or "none"
            found.append(("tag", f"'{self.tag}' is not a tag of this feed (known: {known})"))
        return found

    def broken(self) -> pl.Expr:
        """Not among the values."""
        return pl.col(f"t.{self.tag}").is_in(self.values).not_()

    def explain(self) -> str:
        """The values."""
        return f"{self.tag} is none of {', '.join(self.values)}"
