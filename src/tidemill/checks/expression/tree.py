"""The syntax tree of an expression, and its error. Each node has its offset in the text (`at`), for the message of a
fault."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

Kind = Literal["number", "text", "truth"]
Role = Literal["field", "tag", "attribute", "fact"]

_AROUND: Final = 40  # how much of a long expression is shown on either side of a fault


class ExpressionError(ValueError):
    """An expression has a fault at the offset `at` (from 0) of its text. The message shows the text there, with a
    caret."""

    def __init__(self, text: str, at: int, sentence: str) -> None:
        first, last = max(0, at - _AROUND), at + _AROUND
        before, after = "..." * (first > 0), "..." * (last < len(text))
        shown = "".join(char if char.isprintable() else " " for char in text[first:last])
        caret = " " * (len(before) + at - first) + "^"
        super().__init__(f"column {at + 1}: {sentence}\n  {before}{shown}{after}\n  {caret}")
        self.at = at
        self.sentence = sentence


class Constant(msgspec.Struct, frozen=True):
    """A number or a text."""

    at: int
    value: float | str


class Name(msgspec.Struct, frozen=True):
    """A field, tag or attribute of the record, or a fact of it: `age`, `hour`, `weekday`."""

    at: int
    role: Role
    name: str


class Unary(msgspec.Struct, frozen=True):
    """`-` of a number or `not` of a truth."""

    at: int
    operator: str
    operand: "Node"


class Binary(msgspec.Struct, frozen=True):
    """Arithmetic, a comparison, `and`, `or`."""

    at: int
    operator: str
    left: "Node"
    right: "Node"


class Among(msgspec.Struct, frozen=True):
    """`item in [..]`."""

    at: int
    item: "Node"
    choices: tuple[Constant, ...]


class FunctionCall(msgspec.Struct, frozen=True):
    """A function of what is in its parentheses."""

    at: int
    function: str
    arguments: tuple["Node", ...]


Node = Constant | Name | Unary | Binary | Among | FunctionCall


def names_in_tree(node: Node) -> Iterator[Name]:
    """Every name in an expression, from left to right."""
    match node:
        case Name():
            yield node
        case Unary():
            yield from names_in_tree(node.operand)
        case Binary():
            yield from names_in_tree(node.left)
            yield from names_in_tree(node.right)
        case Among():
            yield from names_in_tree(node.item)
        case FunctionCall():
            for argument in node.arguments:
                yield from names_in_tree(argument)
