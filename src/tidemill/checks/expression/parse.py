"""Parses an expression into its tree, by precedence climbing (Pratt, 1973). The text is never executed.

From loosest to tightest: `or`, `and`, `not`, comparisons and `in`, `+ -`, `* / %`, unary `-`.
"""

from functools import lru_cache
from typing import Final, TypeVar

from tidemill.checks.expression.kinds import FUNCTIONS
from tidemill.checks.expression.tokens import ExpressionError, Token, tokenize
from tidemill.checks.expression.tree import Among, Binary, Constant, FunctionCall, Name, Node, Role, Unary
from tidemill.checks.faults import name_hint

MAX_DEPTH: Final = 32
MAX_NODES: Final = 200
FACTS: Final = ("age", "hour", "weekday")
ROLES: Final[dict[str, Role]] = {"field": "field", "tag": "tag", "attribute": "attribute"}

_N = TypeVar("_N", bound=Node)
_COMPARISONS: Final = frozenset(["<", "<=", ">", ">=", "==", "!=", "in", "not"])
_TIGHTNESS: Final = {"or": 1, "and": 2, **dict.fromkeys(_COMPARISONS, 4), "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}
_NOT: Final = 3
_COMPARISON: Final = 4
_MINUS: Final = 7


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> Node:
    """The tree of an expression. Does not check the kinds of its parts (`check_kinds` does). Raises ExpressionError."""
    parser = _Parser(text)
    tree = parser.expression(0)
    parser.finish()
    return tree


class _Parser:
    """Reads the tokens of one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._next_index = 0
        self._depth = 0
        self._nodes = 0

    def expression(self, loosest: int) -> Node:
        """An operand and every operator behind it that binds at least as tightly."""
        left = self._operand()
        while (tightness := self._tightness()) >= max(loosest, 1):
            token = self._take_token()
            if tightness == _COMPARISON:
                left = self._comparison(token, left)
                if self._tightness() == _COMPARISON:
                    raise self._fault("comparisons do not chain; write a < b and b < c")
            else:
                left = self._node(Binary(token.at, token.value, left, self.expression(tightness + 1)))
        return left

    def finish(self) -> None:
        """Check that no token follows the expression."""
        if self._next.word != "end":
            raise self._fault("an operator such as and, +, < is missing before this")

    @property
    def _next(self) -> Token:
        return self._tokens[self._next_index]

    def _take_token(self) -> Token:
        token = self._next
        self._next_index += token.word != "end"
        return token

    def _accept(self, operator: str) -> bool:
        accepted = self._next.word == "operator" and self._next.value == operator
        self._next_index += accepted
        return accepted

    def _expect(self, operator: str) -> None:
        if not self._accept(operator):
            raise self._fault(f"'{operator}' is missing here")

    def _tightness(self) -> int:
        """How tightly the next token binds; 0 where it is no operator."""
        return _TIGHTNESS.get(self._next.value, 0) if self._next.word == "operator" else 0

    def _comparison(self, token: Token, left: Node) -> Node:
        if token.value == "not":
            self._expect("in")
            return self._node(Unary(token.at, "not", self._among(token, left)))
        if token.value == "in":
            return self._among(token, left)
        return self._node(Binary(token.at, token.value, left, self.expression(_COMPARISON + 1)))

    def _among(self, token: Token, item: Node) -> Node:
        self._expect("[")
        choices = [self._choice()]
        while self._accept(","):
            choices.append(self._choice())
        self._expect("]")
        return self._node(Among(token.at, item, tuple(choices)))

    def _choice(self) -> Constant:
        negative = self._accept("-")
        token = self._take_token()
        if token.word == "number":
            return self._node(Constant(token.at, float(token.value) * (-1 if negative else 1)))
        if token.word == "text" and not negative:
            return self._node(Constant(token.at, token.value))
        raise self._fault("a list holds numbers or texts", token)

    def _operand(self) -> Node:
        token = self._take_token()
        if token.word == "number":
            return self._node(Constant(token.at, float(token.value)))
        if token.word == "text":
            return self._node(Constant(token.at, token.value))
        if token.word == "name":
            return self._node(self._named(token))
        if token.value in ("not", "-"):
            operand = self._nested_expression(token, _NOT if token.value == "not" else _MINUS)
            return self._node(Unary(token.at, token.value, operand))
        if token.value == "(":
            inside = self._nested_expression(token, 0)
            self._expect(")")
            return inside
        raise self._fault("a name, a number, a text or ( is missing here", token)

    def _nested_expression(self, token: Token, loosest: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault(f"nested deeper than {MAX_DEPTH}", token)
        inside = self.expression(loosest)
        self._depth -= 1
        return inside

    def _named(self, token: Token) -> Name | FunctionCall:
        quoted = self._text[token.at] == "`"
        if not quoted and self._accept("("):
            return self._call(token)
        if not quoted and token.value in ROLES and self._accept("."):
            name = self._take_token()
            if name.word != "name":
                raise self._fault(f"the name of a {token.value} is missing here", name)
            return Name(token.at, ROLES[token.value], name.value)
        if not quoted and token.value in FACTS:
            return Name(token.at, "fact", token.value)
        return Name(token.at, "field", token.value)

    def _call(self, token: Token) -> FunctionCall:
        if token.value not in FUNCTIONS:
            raise self._fault(f"there is no function '{token.value}'{name_hint(token.value, FUNCTIONS)}", token)
        arguments = [self._nested_expression(token, 0)]
        while self._accept(","):
            arguments.append(self._nested_expression(token, 0))
        self._expect(")")
        return FunctionCall(token.at, token.value, tuple(arguments))

    def _node(self, node: _N) -> _N:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ExpressionError(self._text, node.at, f"an expression has at most {MAX_NODES} parts")
        return node

    def _fault(self, sentence: str, token: Token | None = None) -> ExpressionError:
        return ExpressionError(self._text, (token or self._next).at, sentence)
