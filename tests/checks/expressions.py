"""Expressions made at random, as trees of plain tuples: their text, and what they say of a record by Python's means.

Independent of the parser under test: it is given the text, and must say what the tree says.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

Tree = tuple[Any, ...]
Record = Mapping[str, Any]

NUMBERS = st.one_of(st.integers(0, 5).map(float), st.sampled_from([0.5, 1e300, 2.5, 1e-9]))
TEXTS = st.sampled_from(["", "a", "b", "é", "a b", "Z"])
TIGHTNESS = {"or": 1, "and": 2, "not": 3, "compare": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "neg": 7}


def leaves() -> st.SearchStrategy[Tree]:
    names = st.sampled_from(["v", "w", "field.v", "`flow-rate`", "age", "hour", "weekday"])
    return st.one_of(st.tuples(st.just("number"), NUMBERS), st.tuples(st.just("name"), names))


def _numbers(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    pair = st.tuples(st.sampled_from("+-*/%"), inner, inner)
    call = st.tuples(st.sampled_from(["abs", "round", "sqrt"]), inner)
    several = st.tuples(st.sampled_from(["min", "max"]), inner, inner)
    return st.one_of(pair, call, several, st.tuples(st.just("neg"), inner))


texts = st.one_of(
    st.tuples(st.just("text"), TEXTS),
    st.tuples(st.just("name"), st.sampled_from(["tag.site", "tag.user_id", "attribute.quality"])),
)
numbers = st.recursive(leaves(), _numbers, max_leaves=6)
operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
comparisons = st.one_of(
    st.tuples(st.just("compare"), operators, numbers, numbers),
    st.tuples(st.just("compare"), operators, texts, texts),
    st.tuples(st.just("compare"), operators, st.tuples(st.just("length"), texts), numbers),
    st.tuples(st.sampled_from(["in", "not in"]), numbers, st.lists(NUMBERS, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["in", "not in"]), texts, st.lists(TEXTS, min_size=1, max_size=3)),
    st.tuples(st.just("exists"), st.tuples(st.just("name"), st.sampled_from(["v", "tag.site", "attribute.quality"]))),
)
truths = st.recursive(
    comparisons,
    lambda inner: st.one_of(st.tuples(st.sampled_from(["and", "or"]), inner, inner), st.tuples(st.just("not"), inner)),
    max_leaves=5,
)


def write(tree: Tree, loosest: int = 0) -> str:
    """The text of a tree, with no parentheses but those it needs."""
    kind = tree[0]
    if kind in ("number", "text"):
        return f"'{tree[1]}'" if kind == "text" else repr(tree[1])
    if kind == "name":
        return str(tree[1])
    if kind in ("in", "not in"):
        text = f"{write(tree[1], 5)} {kind} [{', '.join(repr(choice) for choice in tree[2])}]"
        return _wrapped(text, 4, loosest)
    if kind == "compare":
        return _wrapped(f"{write(tree[2], 5)} {tree[1]} {write(tree[3], 5)}", 4, loosest)
    if kind == "neg":
        return _wrapped(f"-{write(tree[1], 7)}", 7, loosest)
    if kind == "not":
        return _wrapped(f"not {write(tree[1], 3)}", 3, loosest)
    if kind in TIGHTNESS:
        tight = TIGHTNESS[kind]
        return _wrapped(f"{write(tree[1], tight)} {kind} {write(tree[2], tight + 1)}", tight, loosest)
    return f"{kind}({', '.join(write(argument) for argument in tree[1:])})"


def _wrapped(text: str, tight: int, loosest: int) -> str:
    return f"({text})" if tight < loosest else text


def evaluate(tree: Tree, record: Record) -> Any:
    """What a tree says of a record: True, False or None of a truth, a finite number or None, a text or None."""
    kind = tree[0]
    if kind in ("number", "text"):
        return tree[1]
    if kind == "name":
        return value_of(tree[1], record)
    if kind in ("and", "or"):
        sides = [evaluate(side, record) for side in tree[1:]]
        decisive = kind == "or"
        return decisive if decisive in sides else None if None in sides else not decisive
    if kind == "exists":
        return evaluate(tree[1], record) is not None
    if kind in ("in", "not in"):
        item = evaluate(tree[1], record)
        return None if item is None else (item in tree[2]) == (kind == "in")
    operands = [evaluate(operand, record) for operand in (tree[2:] if kind == "compare" else tree[1:])]
    if None in operands:
        return None
    return compare(tree[1], *operands) if kind == "compare" else compute(kind, operands)


def compare(operator: str, left: Any, right: Any) -> bool:
    answers = {"<": left < right, "<=": left <= right, "==": left == right}
    answers |= {">": left > right, ">=": left >= right, "!=": left != right}
    return answers[operator]


def compute(kind: str, operands: list[Any]) -> Any:
    one, two = operands[0], operands[-1]
    try:
        found = {
            "not": lambda: not one,
            "neg": lambda: -one,
            "abs": lambda: abs(one),
            "round": lambda: float(round(one)),
            "sqrt": lambda: math.sqrt(one),
            "length": lambda: float(len(one)),
            "min": lambda: min(operands),
            "max": lambda: max(operands),
            "+": lambda: one + two,
            "-": lambda: one - two,
            "*": lambda: one * two,
            "/": lambda: one / two,
            "%": lambda: one - two * float(math.floor(one / two)),
        }[kind]()
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    return found if isinstance(found, bool) or math.isfinite(found) else None


def value_of(name: str, record: Record) -> Any:
    plain = {"v": "f.v", "w": "f.w", "field.v": "f.v", "`flow-rate`": "f.flow-rate"}
    plain |= {"tag.site": "t.site", "tag.user_id": "t.user_id", "attribute.quality": "a.quality"}
    if name in plain:
        return record.get(plain[name])
    if name == "age":
        return float(record["received_ns"] - record["time"]) / 1e9
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=record["time"] // 1000)
    return float(time.hour if name == "hour" else time.isoweekday())
