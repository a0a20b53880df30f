"""Checks of a record's labels: texts that rules can look at and that are part of no series' identity."""

from typing import Annotated, ClassVar

import polars as pl

from tidemill.checks.check import Check, FeedColumns, Kind, meant
from tidemill.checks.faults import label_faults


class LabelAbsent(Check, frozen=True):
    """The record carries the label `label`, which must be absent."""

    name = "label_absent"
    reason = "label_present"
    kind: ClassVar[Kind] = "text"
    example = 'label = "test"'

    label: Annotated[str, meant("the label that must be absent")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """The feed must have labels."""
        return label_faults(columns, "label")

    def broken(self) -> pl.Expr:
        """The label is there."""
        return pl.col("labels").list.contains(self.label)

    def explain(self) -> str:
        """The label."""
        return f"it has the label '{self.label}'"


class LabelPresent(Check, frozen=True):
    """The record lacks the label `label`, which must be present."""

    name = "label_present"
    reason = "label_absent"
    kind: ClassVar[Kind] = "text"
    example = 'label = "calibrated"'

    label: Annotated[str, meant("the label that must be present")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """The feed must have labels."""
        return label_faults(columns, "label")

    def broken(self) -> pl.Expr:
        """The label is not there."""
        return pl.col("labels").list.contains(self.label).fill_null(False).not_()

    def explain(self) -> str:
        """The label."""
        return f"it has no label '{self.label}'"
