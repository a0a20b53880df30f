"""Pairs the rules of two versions of a feed: by what a rule checks before by its index, so that a rule inserted before
others does not make all of them look changed."""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

Pair = tuple[int | None, int | None]
_Likeness = Callable[[int, dict[str, Any]], tuple[Any, ...]]


def _field(rule: dict[str, Any]) -> Any:
    options = rule.get("options")
    return options.get("field") if isinstance(options, dict) else None


# The strictest first: rules that one of these pairs are not considered by the next.
_LIKENESSES: Final[tuple[_Likeness, ...]] = (
    lambda index, rule: (index, rule),
    lambda _, rule: (rule,),
    lambda _, rule: (rule.get("check"), rule.get("reason"), _field(rule)),
    lambda _, rule: (rule.get("check"), _field(rule)),
    lambda _, rule: (rule.get("check"), rule.get("reason")),
    lambda index, _: (index,),
)


def pair_rules(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[Pair]:
    """(index in `old`, index in `new`) of every rule; None where it has none. In order of `new`, then the removed."""
    before, after = dict(enumerate(old)), dict(enumerate(new))
    pairs: list[Pair] = []
    for likeness in _LIKENESSES:
        waiting: dict[bytes, deque[int]] = defaultdict(deque)
        for index, rule in before.items():
            waiting[_key(likeness(index, rule))].append(index)
        for index, rule in list(after.items()):
            if candidates := waiting.get(_key(likeness(index, rule))):
                other = candidates.popleft()
                pairs.append((other, index))
                del before[other], after[index]
    pairs += [(None, index) for index in after]
    pairs.sort(key=lambda pair: pair[1] or 0)
    return [*pairs, *((index, None) for index in before)]


def moved_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """The smallest set of these pairs (in order of `new`) that must have moved so that the others kept their order."""
    kept = [pair for pair in pairs if None not in pair]
    tails: list[int] = []  # for each length, the smallest last old index of a rising run of that length
    lengths: list[int] = []
    for before, _ in kept:
        assert before is not None
        length = bisect_left(tails, before)
        tails[length : length + 1] = [before]
        lengths.append(length)
    wanted, staying = len(tails) - 1, set[int]()
    for number in range(len(kept) - 1, -1, -1):
        if lengths[number] == wanted:
            staying.add(number)
            wanted -= 1
    return [pair for number, pair in enumerate(kept) if number not in staying]


def _key(parts: tuple[Any, ...]) -> bytes:
    return msgspec.json.encode(parts, order="deterministic")
