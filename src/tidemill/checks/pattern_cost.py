r"""Estimates the cost of compiling a regular expression from its text, without compiling it.

Patterns are compiled when a feed is read and again for its batches. `\w{99}` is short and takes 50 ms: it is 99 copies
of every letter of Unicode. So each part has a weight, multiplied by the repetitions around it. A unit is about 5 us, as
measured with Polars 2.1; where the syntax is ambiguous, the estimate is rather too high.
"""

import re
from functools import lru_cache
from typing import Final

MAX_PATTERN: Final = 1_000
MAX_COST: Final = 20_000  # of all patterns of a feed: about 100 ms
_LARGE: Final = dict.fromkeys("wWpP", 150) | dict.fromkeys("dDsS", 15)  # classes of Unicode
_NUMBER: Final = re.compile("[0-9]+")
_FLAGS: Final = re.compile(r"\(\?([A-Za-z]*)(?:-[A-Za-z]*)?[:)]")
_LONG_ESCAPE: Final = re.compile(r"\\(?:[pPxuU]\{[^}]*\}?|[pP].)", re.DOTALL)


@lru_cache(maxsize=4096)
def pattern_cost(pattern: str) -> int:
    """The cost of a pattern in units; 0 for one that is longer than MAX_PATTERN and so is never compiled."""
    return _PatternReader(pattern).cost() if len(pattern) <= MAX_PATTERN else 0


def has_free_spacing(pattern: str) -> bool:
    """Whether a pattern asks for free spacing (the flag x), in which counts can hide behind comments."""
    return any("x" in flags for flags in _FLAGS.findall(pattern))


class _PatternReader:
    """Reads a pattern once, from left to right; parts that are not well-formed count as plain characters."""

    def __init__(self, pattern: str) -> None:
        self._text, self._at = pattern, 0

    def cost(self) -> int:
        """The cost of the whole pattern."""
        totals, last = [0], 0  # of the open groups, and of the part that a repetition would repeat
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "{" and (times := self._times()):
                totals[-1] += last * (times - 1)
                last *= times
                continue
            if char == ")" and len(totals) > 1:
                last, self._at = totals.pop(), self._at + 1
            elif char == "(":
                totals.append(1)
                self._at += 1
                continue
            elif char in "*+?":  # repeats without a copy
                self._at += 1
                continue
            else:
                last = self._bracketed() if char == "[" else self._read_atom()
            totals[-1] += last
        return sum(totals)

    def _times(self) -> int:
        """The largest number in the braces from here on, at least 1; 0 where there is none."""
        end = self._text.find("}", self._at)
        numbers = _NUMBER.findall(self._text, self._at, end) if end > 0 else []
        if not numbers:
            return 0
        self._at = end + 1
        return max(1, *map(int, numbers))

    def _read_atom(self) -> int:
        """Read a character or an escape; returns its cost."""
        if self._text[self._at] != "\\":
            self._at += 1
            return 3 if self._text[self._at - 1] == "." else 1
        letter = self._text[self._at + 1 : self._at + 2]
        long = _LONG_ESCAPE.match(self._text, self._at)
        self._at = long.end() if long else self._at + 2
        return _LARGE.get(letter, 1)

    def _bracketed(self) -> int:
        """Read a class in brackets, with the classes inside it; returns its cost."""
        cost, depth = 0, 0
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "[":
                depth, cost, self._at = depth + 1, cost + 1, self._at + 1
                for first in "^]":  # `]` is itself where a class begins
                    if self._text.startswith(first, self._at):
                        cost, self._at = cost + 2, self._at + 1
            elif char == "]":
                depth, self._at = depth - 1, self._at + 1
                if depth == 0:
                    break
            else:
                cost += self._read_atom()
        return cost
