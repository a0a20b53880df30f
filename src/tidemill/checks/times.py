"""Checks of a record's time against the time it was received: a replay decides the same."""

from typing import Annotated, ClassVar

import polars as pl

from tidemill.checks.check import Check, FeedColumns, Kind, meant
from tidemill.checks.faults import duration_faults
from tidemill.model.time import duration_ns


class MaxAge(Check, frozen=True):
    """The record's time is more than `max_age` before it was received (the time of receipt, so that a replay
    decides the same)."""

    name = "max_age"
    reason = "too_old"
    kind: ClassVar[Kind] = "time"
    example = 'max_age = "1h"'

    max_age: Annotated[str, meant("the greatest age that passes")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`max_age` must be a duration."""
        return duration_faults("max_age", self.max_age)

    def broken(self) -> pl.Expr:
        """Earlier than the time of receipt less `max_age`."""
        return pl.col("time") < pl.col("received_ns") - duration_ns(self.max_age)

    def explain(self) -> str:
        """Its age."""
        return f"its time is more than {self.max_age} before it was received"


class MaxFuture(Check, frozen=True):
    """The record's time is more than `max_future` after it was received."""

    name = "max_future"
    reason = "in_future"
    kind: ClassVar[Kind] = "time"
    example = 'max_future = "5m"'

    max_future: Annotated[str, meant("the greatest lead that passes")]

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`max_future` must be a duration."""
        return duration_faults("max_future", self.max_future)

    def broken(self) -> pl.Expr:
        """Later than the time of receipt and `max_future`."""
        return pl.col("time") > pl.col("received_ns") + duration_ns(self.max_future)

    def explain(self) -> str:
        """Its lead."""
        return f"its time is more than {self.max_future} after it was received"
