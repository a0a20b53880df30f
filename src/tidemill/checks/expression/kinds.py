"""Checks the types of an expression: whether operators and functions get numbers, texts or truths as they need them.

Done when a feed is read, before any record is."""

from typing import Final

from tidemill.checks.expression.tokens import ExpressionError
from tidemill.checks.expression.tree import Among, Binary, Constant, FunctionCall, Kind, Name, Node, Unary, names_in

# The kinds of a function's arguments (None: any name of the record), whether more of the last may follow, its own kind.
FUNCTIONS: Final[dict[str, tuple[tuple[Kind | None, ...], bool, Kind]]] = {
    "abs": (("number",), False, "number"),
    "min": (("number", "number"), True, "number"),
    "max": (("number", "number"), True, "number"),
    "round": (("number",), False, "number"),
    "sqrt": (("number",), False, "number"),
    "exists": ((None,), False, "truth"),
    "length": (("text",), False, "number"),
}
_CALLED: Final = {"number": "a number", "text": "a text", "truth": "a truth (a comparison)"}


def check_kinds(text: str, tree: Node) -> None:
    """Check that the whole is a truth, that it names something of the record, and that every operand is of the kind
    that its operator needs. Raises ExpressionError."""
    kinds = _Kinds(text)
    kinds.need("truth", tree, "the whole expression must be")
    if not any(names_in(tree)):
        raise ExpressionError(text, 0, "it looks at nothing of the record: name a field, a tag or an attribute")


def check_number(text: str, tree: Node) -> None:
    """Check that the whole is a number made of what it names, and every operand of the kind that its operator needs.
    Raises ExpressionError."""
    _Kinds(text).need("number", tree, "the whole expression must be")
    if not any(names_in(tree)):
        raise ExpressionError(text, 0, "it names nothing")


class _Kinds:
    def __init__(self, text: str) -> None:
        self._text = text

    def need(self, kind: Kind, node: Node, why: str) -> None:
        actual = self.kind_of(node)
        if actual != kind:
            raise ExpressionError(self._text, node.at, f"{why} {_CALLED[kind]}, and this is {_CALLED[actual]}")

    def kind_of(self, node: Node) -> Kind:
        match node:
            case Constant():
                return "text" if isinstance(node.value, str) else "number"
            case Name():
                return "text" if node.role in ("tag", "attribute") else "number"
            case Unary():
                kind: Kind = "truth" if node.operator == "not" else "number"
                self.need(kind, node.operand, f"behind '{node.operator}' must stand")
                return kind
            case Binary():
                return self._binary(node)
            case Among():
                kind = self.kind_of(node.item)
                for choice in node.choices:
                    self.need(kind, choice, "every item of the list must be, as what is looked for,")
                if kind == "truth":
                    raise ExpressionError(self._text, node.at, "a truth is in no list")
                return "truth"
            case FunctionCall():
                return self._call(node)

    def _binary(self, node: Binary) -> Kind:
        if node.operator in ("and", "or"):
            for side in (node.left, node.right):
                self.need("truth", side, f"on each side of '{node.operator}' must stand")
            return "truth"
        if node.operator in ("+", "-", "*", "/", "%"):
            for side in (node.left, node.right):
                self.need("number", side, f"on each side of '{node.operator}' must stand")
            return "number"
        left = self.kind_of(node.left)
        if left == "truth":
            raise ExpressionError(self._text, node.at, f"'{node.operator}' compares numbers or texts, not truths")
        self.need(left, node.right, f"'{node.operator}' compares {_CALLED[left]} with")
        return "truth"

    def _call(self, node: FunctionCall) -> Kind:
        kinds, more, kind = FUNCTIONS[node.function]
        count = len(node.arguments)
        if count < len(kinds) or (count > len(kinds) and not more):
            wanted = f"{len(kinds)} or more" if more else str(len(kinds))
            message = f"{node.function}() takes {wanted} argument{'s' * (wanted != '1')}, not {count}"
            raise ExpressionError(self._text, node.at, message)
        for number, argument in enumerate(node.arguments):
            wanted_kind = kinds[min(number, len(kinds) - 1)]
            if wanted_kind is not None:
                self.need(wanted_kind, argument, f"{node.function}() takes")
            elif not isinstance(argument, Name):
                raise ExpressionError(self._text, argument.at, f"{node.function}() takes the name of a field, tag, ...")
        return kind
