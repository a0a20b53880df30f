"""The one fault that reading an expression can end in: where, and what to write instead."""

from typing import Final

_AROUND: Final = 40  # how much of a long expression is shown on either side of a fault


class ExpressionError(ValueError):
    """An expression is at fault at a place (from 0) of its text. The message shows it, with a caret below the place."""

    def __init__(self, text: str, at: int, sentence: str) -> None:
        first, last = max(0, at - _AROUND), at + _AROUND
        before, after = "..." * (first > 0), "..." * (last < len(text))
        shown = "".join(one if one.isprintable() else " " for one in text[first:last])
        caret = " " * (len(before) + at - first) + "^"
        super().__init__(f"column {at + 1}: {sentence}\n  {before}{shown}{after}\n  {caret}")
        self.at = at
        self.sentence = sentence
