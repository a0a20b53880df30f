"""Translates the tree of an expression into a Polars expression.

A missing value is null, and so is a number that is not finite (1 / 0, the root of -1); a comparison with null is null.
`and`, `or` and `not` are those of Kleene's three-valued logic.
"""

from collections.abc import Callable
from functools import reduce
from operator import and_
from typing import Final

import polars as pl

from tidemill.checks.expression.tree import Among, Binary, Constant, FunctionCall, Name, Node, Unary
from tidemill.model.time import NS_PER_S

_PREFIX: Final = {"field": "f", "tag": "t", "attribute": "a"}
_ARITHMETIC: Final[dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": lambda left, right: left - right * (left / right).floor(),  # has the sign of the divisor, as in Python
}
_COMPARISONS: Final[dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "and": lambda left, right: left & right,
    "or": lambda left, right: left | right,
}


def to_polars(node: Node) -> pl.Expr:
    """The expression over a frame of records (see `checks.check.Check`) for a tree that `parse` returned."""
    match node:
        case Constant():
            return pl.lit(node.value)
        case Name():
            return _named(node)
        case Unary():
            operand = to_polars(node.operand)
            return operand.not_() if node.operator == "not" else -operand
        case Binary():
            left, right = to_polars(node.left), to_polars(node.right)
            if node.operator in _ARITHMETIC:
                return _finite(_ARITHMETIC[node.operator](left, right))
            return _COMPARISONS[node.operator](left, right)
        case Among():
            return to_polars(node.item).is_in([choice.value for choice in node.choices])
        case FunctionCall():
            return _call(node.function, [to_polars(argument) for argument in node.arguments])


def _named(node: Name) -> pl.Expr:
    if node.role == "field":
        return _finite(pl.col(f"f.{node.name}"))
    if node.role != "fact":
        return pl.col(f"{_PREFIX[node.role]}.{node.name}")
    if node.name == "age":
        return (pl.col("received_ns") - pl.col("time")).cast(pl.Float64) / NS_PER_S
    clock = pl.col("time").cast(pl.Datetime("ns")).dt
    return (clock.hour() if node.name == "hour" else clock.weekday()).cast(pl.Float64)


def _call(function: str, arguments: list[pl.Expr]) -> pl.Expr:
    first = arguments[0]
    match function:
        case "abs":
            return first.abs()
        case "round":
            return first.round(mode="half_to_even")
        case "sqrt":
            return _finite(first.sqrt())
        case "exists":
            return first.is_not_null()
        case "length":
            return first.str.len_chars().cast(pl.Float64)
    extreme = pl.min_horizontal(arguments) if function == "min" else pl.max_horizontal(arguments)
    return pl.when(reduce(and_, (argument.is_not_null() for argument in arguments))).then(extreme)


def _finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)
