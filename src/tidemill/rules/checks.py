"""The checks of `feeds/checks.py` as Polars expressions: true where a record breaks the rule, else false or null."""

import functools

import polars as pl

from tidemill.feeds.checks import Check, LabelAbsent, LabelPresent, MaxAge, MaxFuture, OneOf, Range
from tidemill.model.time import duration_ns


@functools.singledispatch
def broken(check: Check) -> pl.Expr:
    """Where a record breaks the check. Columns: those of the batch's frame, `time`, and `t.<tag>` (text or null)."""
    raise NotImplementedError(type(check).__name__)


@functools.singledispatch
def explain(check: Check) -> str:
    """What a record did to break the check, as the end of a sentence."""
    raise NotImplementedError(type(check).__name__)


@broken.register
def _(check: MaxAge) -> pl.Expr:
    return pl.col("time") < pl.col("received_ns") - duration_ns(check.max_age)


@explain.register
def _(check: MaxAge) -> str:
    return f"its time is more than {check.max_age} before it was received"


@broken.register
def _(check: MaxFuture) -> pl.Expr:
    return pl.col("time") > pl.col("received_ns") + duration_ns(check.max_future)


@explain.register
def _(check: MaxFuture) -> str:
    return f"its time is more than {check.max_future} after it was received"


@broken.register
def _(check: LabelAbsent) -> pl.Expr:
    return pl.col("labels").list.contains(check.label)


@explain.register
def _(check: LabelAbsent) -> str:
    return f"it has the label '{check.label}'"


@broken.register
def _(check: LabelPresent) -> pl.Expr:
    return pl.col("labels").list.contains(check.label).fill_null(False).not_()


@explain.register
def _(check: LabelPresent) -> str:
    return f"it has no label '{check.label}'"


@broken.register
def _(check: Range) -> pl.Expr:
    value = pl.col(f"f.{check.field}")
    low = pl.lit(False) if check.min is None else value < check.min
    high = pl.lit(False) if check.max is None else value > check.max
    return low | high


@explain.register
def _(check: Range) -> str:
    low = "" if check.min is None else f" from {check.min:g}"
    high = "" if check.max is None else f" to {check.max:g}"
    return f"{check.field} is outside the range{low}{high}"


@broken.register
def _(check: OneOf) -> pl.Expr:
    return pl.col(f"t.{check.tag}").is_in(check.values).not_()


@explain.register
def _(check: OneOf) -> str:
    return f"{check.tag} is none of {', '.join(check.values)}"
