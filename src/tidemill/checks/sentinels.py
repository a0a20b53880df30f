"""The check of sentinel values: numbers that a device sends where it has none to send."""

import math
from typing import Annotated, Final

import polars as pl

from tidemill.checks.check import Check, FeedColumns, meant
from tidemill.checks.faults import field_faults

REGISTERS: Final = "registers"  # the column with the list of a record's registers, only for this check
_NEAR: Final = 1e-12  # relative: far above what scale and unit lose, far below any difference that is measured


class NotAValue(Check, frozen=True):
    """A value is one of `values`, which the device sends where it has no value: 85 °C of a probe that has just started,
    -127 of one that is unplugged, 327.67. The check looks at `field`; without it at every number field of the record,
    and at every register where the feed has those. The values are compared as they would be stored, after scale and
    unit, to twelve digits; a missing value passes."""

    name = "not_a_value"
    reason = "not_a_value"
    example = 'field = "temperature", values = [85, -127, 327.67]'

    values: Annotated[tuple[float, ...], meant("the numbers that mean: no value")]
    field: Annotated[str | None, meant("the number field, or the register; without it every one")] = None

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`field` must exist, and `values` must not be empty."""
        faults = [] if self.field is None else field_faults(columns, self.field)
        if not self.values or not all(map(math.isfinite, self.values)):
            faults.append(("values", "name at least one value, and finite numbers only"))
        return faults

    def broken(self) -> pl.Expr:
        """The value of `field` is one of the values; without it, any register is."""
        if self.field is not None:
            return self._among(pl.col(f"f.{self.field}"))
        return pl.col(REGISTERS).list.eval(self._among(pl.element())).list.any()

    def broken_in(self, columns: FeedColumns) -> pl.Expr:
        """`broken`, or without a field the value of any field."""
        if self.field is not None or columns.registers:
            return self.broken()
        return pl.any_horizontal([self._among(pl.col(f"f.{name}")) for name in columns.fields])

    def explain(self) -> str:
        """The values, the first ten of them."""
        more = f" or {len(self.values) - 10} more" if len(self.values) > 10 else ""
        what = "a value" if self.field is None else f"{self.field}"
        return f"{what} is one that means: no value ({', '.join(f'{value:g}' for value in self.values[:10])}{more})"

    def _among(self, number: pl.Expr) -> pl.Expr:
        near = [(number - value).abs() <= abs(value) * _NEAR for value in self.values]
        return pl.any_horizontal(near)
