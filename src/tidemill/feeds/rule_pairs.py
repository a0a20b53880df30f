"""Which rule of one version is which of another: by what it checks before by where it stands, so that a rule put in
front of others does not look as if all of them had changed."""

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


# The likest first: what one of these joins is not looked at by the next.
_LIKENESSES: Final[tuple[_Likeness, ...]] = (
    lambda place, rule: (place, rule),
    lambda _, rule: (rule,),
    lambda _, rule: (rule.get("check"), rule.get("reason"), _field(rule)),
    lambda _, rule: (rule.get("check"), _field(rule)),
    lambda _, rule: (rule.get("check"), rule.get("reason")),
    lambda place, _: (place,),
)


def pairs(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[Pair]:
    """(place in `old`, place in `new`) of every rule; None where it has none. In order of `new`, then the removed."""
    before, after = dict(enumerate(old)), dict(enumerate(new))
    found: list[Pair] = []
    for likeness in _LIKENESSES:
        waiting: dict[bytes, deque[int]] = defaultdict(deque)
        for place, rule in before.items():
            waiting[_key(likeness(place, rule))].append(place)
        for place, rule in list(after.items()):
            if candidates := waiting.get(_key(likeness(place, rule))):
                other = candidates.popleft()
                found.append((other, place))
                del before[other], after[place]
    found += [(None, place) for place in after]
    found.sort(key=lambda pair: pair[1] or 0)
    return [*found, *((place, None) for place in before)]


def moved(found: Sequence[Pair]) -> list[Pair]:
    """The fewest of these pairs (in order of `new`) that must have moved for the others to have kept their order."""
    kept = [pair for pair in found if None not in pair]
    tails: list[int] = []  # of the rising run of each length, the smallest last old place
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
