"""The syntax tree of an expression. Each node has its offset in the text (`at`), for the message of a fault."""

from collections.abc import Iterator
from typing import Literal

import msgspec

Kind = Literal["number", "text", "truth"]
Role = Literal["field", "tag", "attribute", "fact"]


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


def names_in(node: Node) -> Iterator[Name]:
    """Every name in an expression, from left to right."""
    match node:
        case Name():
            yield node
        case Unary():
            yield from names_in(node.operand)
        case Binary():
            yield from names_in(node.left)
            yield from names_in(node.right)
        case Among():
            yield from names_in(node.item)
        case FunctionCall():
            for argument in node.arguments:
                yield from names_in(argument)
