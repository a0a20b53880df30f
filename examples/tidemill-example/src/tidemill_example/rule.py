"""A rule for counters that move in steps."""

from typing import Annotated

import polars as pl

from tidemill.checks.check import Check, FeedColumns, meant


class MultipleOf(Check, frozen=True, kw_only=True):
    """The value of `field` is not a whole multiple of `step` (a missing value passes)."""

    name = "multiple_of"
    reason = "off_step"
    example = 'field = "energy", step = 0.25'

    field: Annotated[str, meant("the number field")]
    step: Annotated[float, meant("above 0")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """The field must exist, and the step be above 0."""
        found = []
        if self.field not in columns.fields and not columns.registers:
            found.append(("field", f"'{self.field}' is not a number field of this feed"))
        if not self.step > 0:
            found.append(("step", "a step is above 0"))
        return found

    def broken(self) -> pl.Expr:
        """Further than a billionth of a step from the nearest multiple."""
        steps = pl.col(f"f.{self.field}") / self.step
        return (steps - steps.round()).abs() > 1e-9

    def explain(self) -> str:
        """The field and the step."""
        return f"{self.field} is not a whole multiple of {self.step:g}"
