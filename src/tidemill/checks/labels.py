"""Checks of a record's labels: the words that rules may look at and that are part of no identity."""

import polars as pl

from tidemill.checks.check import Check, Columns

_NO_LABELS = [("label", "this feed has no [labels] to look at")]


class LabelAbsent(Check, frozen=True):
    """The record carries the label `label`, which must be absent."""

    name = "label_absent"
    reason = "label_present"
    label: str

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """The feed must have labels."""
        return [] if columns.labels else _NO_LABELS

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
    label: str

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        """The feed must have labels."""
        return [] if columns.labels else _NO_LABELS

    def broken(self) -> pl.Expr:
        """The label is not there."""
        return pl.col("labels").list.contains(self.label).fill_null(False).not_()

    def explain(self) -> str:
        """The label."""
        return f"it has no label '{self.label}'"
