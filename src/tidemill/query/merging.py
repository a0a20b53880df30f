"""Pages over several partitions of the log: what is of each in its own order, merged by a time, as there is no order
between partitions. A cursor holds where each partition's part of a page ended: nothing is left out or comes twice."""

import heapq
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")


def first_of(found: Sequence[Sequence[T]], count: int, key: Callable[[T], Any]) -> list[tuple[int, T]]:
    """The first `count` of what was found in all partitions, each with its partition's number: of what is next in each
    partition that with the lowest `key`."""
    if len(found) == 1:
        return [(0, item) for item in found[0][:count]]
    numbered = [[(number, item) for item in items] for number, items in enumerate(found)]
    return list(islice(heapq.merge(*numbered, key=lambda pair: key(pair[1])), count))
