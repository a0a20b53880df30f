"""Splits an expression into tokens: numbers, texts, names, operators. Anything else is a fault with a hint."""

import math
import re
from typing import Final, Literal

import msgspec

MAX_LENGTH: Final = 1_000
_AROUND: Final = 40  # how much of a long expression is shown on either side of a fault
Word = Literal["number", "text", "name", "operator", "end"]

KEYWORDS: Final = frozenset(["and", "or", "not", "in"])
_PATTERN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<text>'[^']*'|"[^"]*")
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<quoted>`[^`]+`)
      | (?P<operator><=|>=|==|!=|[-+*/%<>()\[\],.])""",
    re.VERBOSE | re.ASCII,
)
_HINTS: Final = {
    "=": "write == to compare",
    "!": "write not, or != to compare",
    "&": "write and",
    "|": "write or",
    "^": "powers are not part of this language; write x * x",
    "'": "this text has no closing '",
    '"': 'this text has no closing "',
    "`": "this name has no closing `",
}


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


class Token(msgspec.Struct, frozen=True):
    """A token: its type, its value (a text without its quotes) and the offset in the text at which it begins."""

    word: Word
    value: str
    at: int


def tokenize(text: str) -> list[Token]:
    """The tokens of an expression, the last of them `end`. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(text, MAX_LENGTH, f"an expression has at most {MAX_LENGTH} characters, not {len(text)}")
    tokens, at = [], 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            hint = _HINTS.get(text[at], f"{text[at]!r} has no meaning here")
            raise ExpressionError(text, at, hint)
        if match.lastgroup != "space":
            tokens.append(_token(text, match))
        at = match.end()
    return [*tokens, Token("end", "", len(text))]


def _token(text: str, match: re.Match[str]) -> Token:
    value, at = match[0], match.start()
    if match["number"]:
        if text[match.end() : match.end() + 1].isidentifier():
            raise ExpressionError(text, at, "a name does not begin with a digit; write it as `0100011D00FF`")
        if not math.isfinite(float(value)):
            raise ExpressionError(text, at, f"{value} is too large for a number")
        return Token("number", value, at)
    if match["text"]:
        return Token("text", value[1:-1], at)
    if match["quoted"]:
        return Token("name", value[1:-1], at)
    if value in KEYWORDS or match["operator"]:
        return Token("operator", value, at)
    return Token("name", value, at)
