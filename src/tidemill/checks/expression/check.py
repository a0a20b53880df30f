"""The check `expression`: a condition that each record must meet, in a small language of comparisons."""

from typing import Annotated, Literal

import polars as pl

from tidemill.checks.check import Check, FeedColumns, meant
from tidemill.checks.expression.columns import to_polars
from tidemill.checks.expression.kinds import check_kinds
from tidemill.checks.expression.parse import FACTS, parse_expression
from tidemill.checks.expression.tokens import ExpressionError
from tidemill.checks.expression.tree import Name, names_in
from tidemill.checks.faults import name_hint


class Expression(Check, frozen=True):
    """The expression `holds` is false for the record. An expression compares, with `< <= > >= == !=` and
    `in ['a', 'b']`, fields by their names, `tag.NAME`, `attribute.NAME`, numbers and texts in quotes, and joins
    comparisons by `and`, `or`, `not` and parentheses. `+ - * / %` and `abs min max round sqrt` compute numbers from
    numbers, `length` computes one from a text; `exists` says whether a value is there. `age` is the time of receipt
    less the record's time, in seconds; `hour` (0 to 23) and `weekday` (1 is Monday) are those of its time in UTC. A
    field of such a name, or of a name that is not letters, digits and `_`, is written in backquotes. A comparison with
    a missing value or with 1 / 0 is neither true nor false; a record for which the whole is neither passes, unless
    `missing` is "reject"."""

    name = "expression"
    reason = "does_not_hold"
    example = "holds = \"temperature < 80 or tag.site == 'oven'\""

    holds: Annotated[str, meant("what must be true of a record")]
    missing: Annotated[
        Literal["pass", "reject"], meant("what becomes of a record of which it is neither true nor false")
    ] = "pass"

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """`holds` must be well-formed, and the feed must have what it names."""
        try:
            tree = parse_expression(self.holds)
            if unknown := [(name.at, wrong) for name in names_in(tree) if (wrong := _name_fault(name, columns))]:
                return [("holds", str(ExpressionError(self.holds, at, wrong))) for at, wrong in unknown]
            check_kinds(self.holds, tree)
        except ExpressionError as error:
            return [("holds", str(error))]
        return []

    def broken(self) -> pl.Expr:
        """The expression is false; with `missing = "reject"` also where it is neither true nor false."""
        holds = to_polars(parse_expression(self.holds))
        return (holds.fill_null(False) if self.missing == "reject" else holds).not_()

    def explain(self) -> str:
        """The expression."""
        return f"this does not hold: {self.holds}"


def _name_fault(name: Name, columns: FeedColumns) -> str:
    """The fault of a name that the feed has not; "" if the feed has it."""
    known = {"field": columns.fields, "tag": columns.tags, "attribute": columns.attributes}
    if name.role == "fact" or name.name in known[name.role] or (name.role == "field" and columns.registers):
        return ""
    if name.role != "field":
        return f"'{name.name}' is no {name.role} of this feed{name_hint(name.name, known[name.role])}"
    for role in ("tag", "attribute"):
        if name.name in known[role]:
            return f"'{name.name}' is no field; write {role}.{name.name}"
    fields = [known_name if known_name.isidentifier() else f"`{known_name}`" for known_name in known["field"]]
    others = [f"{role}.{known_name}" for role in ("tag", "attribute") for known_name in known[role]]
    return f"this feed has no field '{name.name}'{name_hint(name.name, [*fields, *FACTS, *others])}"
