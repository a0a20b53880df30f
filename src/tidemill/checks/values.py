"""Checks of one value by itself: that it is present, finite, in a range, or one of the allowed ones."""

from typing import Annotated, ClassVar

import polars as pl

from tidemill.checks.check import Check, FeedColumns, Kind, meant
from tidemill.checks.faults import field_faults
from tidemill.checks.subject import SubjectCheck, TextCheck


class Required(SubjectCheck, frozen=True, kw_only=True):
    """The record lacks a field, tag or attribute, or has no label, though the feed's contract leaves it optional."""

    name = "required"
    reason = "missing"
    kind: ClassVar[Kind] = "value"
    example = 'attribute = "quality"'

    def broken(self) -> pl.Expr:
        """Null; for labels also an empty list."""
        if self.labels:
            return self.column.list.len().fill_null(0) == 0
        return self.column.is_null()

    def explain(self) -> str:
        """What is not there."""
        return f"{'any label' if self.labels else self.subject} is missing"


class Finite(Check, frozen=True):
    """The value of `field` is NaN or infinite (a missing value passes). The contract of every feed excludes such
    numbers already; the rule is for figures that are computed from them, such as those of a summary."""

    name = "finite"
    reason = "not_finite"
    example = 'field = "temperature"'

    field: Annotated[str, meant("the number field")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`field` must exist."""
        return field_faults(columns, self.field)

    def broken(self) -> pl.Expr:
        """NaN or an infinity."""
        return pl.col(f"f.{self.field}").is_finite().not_()

    def explain(self) -> str:
        """The field."""
        return f"{self.field} is not a finite number"


class Range(Check, frozen=True):
    """The value of `field` is below `min` or above `max` (both inclusive), or not above `min_exclusive` or not below
    `max_exclusive`; a missing value passes."""

    name = "range"
    reason = "outside_range"
    example = 'field = "temperature", min = -40, max = 85'

    field: Annotated[str, meant("the number field")]
    min: Annotated[float | None, meant("the least value that passes")] = None
    max: Annotated[float | None, meant("the greatest value that passes")] = None
    min_exclusive: Annotated[float | None, meant("values must be greater than this")] = None
    max_exclusive: Annotated[float | None, meant("values must be less than this")] = None

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`field` must exist, one bound must be given, no end of the range twice, and some value must pass."""
        faults = field_faults(columns, self.field)
        if self.low is None and self.high is None:
            faults.append(("min", "give min, max or both"))
        for inclusive, exclusive in (("min", "min_exclusive"), ("max", "max_exclusive")):
            if getattr(self, inclusive) is not None and getattr(self, exclusive) is not None:
                faults.append((exclusive, f"give {inclusive} or {exclusive}, not both"))
        if self.low is not None and self.high is not None:
            if self.low > self.high:
                faults.append(("min", f"min {self.low:g} is above max {self.high:g}"))
            elif self.low == self.high and (self.min is None or self.max is None):
                faults.append(("min", f"no value lies between {self.low:g} and {self.high:g}"))
        return faults

    @property
    def low(self) -> float | None:
        """The lower bound, whichever it is."""
        return self.min if self.min is not None else self.min_exclusive

    @property
    def high(self) -> float | None:
        """The upper bound, whichever it is."""
        return self.max if self.max is not None else self.max_exclusive

    def broken(self) -> pl.Expr:
        """Outside of the bounds. NaN counts as above every number, as in Polars."""
        value = pl.col(f"f.{self.field}")
        outside = [
            value < self.min if self.min is not None else None,
            value > self.max if self.max is not None else None,
            value <= self.min_exclusive if self.min_exclusive is not None else None,
            value >= self.max_exclusive if self.max_exclusive is not None else None,
        ]
        return pl.any_horizontal([test for test in outside if test is not None])

    def explain(self) -> str:
        """The bounds."""
        low = "" if self.low is None else f" {'from' if self.min is not None else 'above'} {self.low:g}"
        high = "" if self.high is None else f" {'to' if self.max is not None else 'below'} {self.high:g}"
        return f"{self.field} is outside the range{low}{high}"


class OneOf(TextCheck, frozen=True, kw_only=True):
    """The tag or attribute has none of the allowed `values`, or a label is none of them (a text that is not there
    passes)."""

    name = "one_of"
    reason = "not_allowed"
    example = 'tag = "site", values = ["north", "south"]'

    values: Annotated[tuple[str, ...], meant("the texts that pass")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`values` must not be empty."""
        faults = super().faults(columns)
        return faults if self.values else [*faults, ("values", "name at least one allowed value")]

    def broken(self) -> pl.Expr:
        """Not among the values."""
        return self.where(lambda text: text.is_in(self.values).not_())

    def explain(self) -> str:
        """The values, the first ten of them."""
        more = f" or {len(self.values) - 10} more" if len(self.values) > 10 else ""
        return f"{self.subject} is none of {', '.join(self.values[:10])}{more}"
