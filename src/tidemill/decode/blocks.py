"""Reads many records in blocks, so that a record at fault costs little and its neighbours almost nothing."""

from collections.abc import Callable
from typing import Final

BLOCK: Final = 8  # records of the smallest block


def read_blocks(
    count: int,
    read_certain: Callable[[int, int], bool],
    read_strictly: Callable[[int], bool],
    may_go_on: Callable[[], bool],
) -> None:
    """Read `count` records: `read_certain(first, last)` reads a block if all of it is certain to be without fault, and
    returns whether it is; `read_strictly(index)` reads one record and returns whether it is without fault.

    Where a block is not certain, some record of [first, doubtful) is in doubt, and its halves are read, down to BLOCK
    records, which the strict reader reads. The next block is as long as the certain records since the last of these.
    So the sum of all blocks is a few times the payload, however many records are at fault. After BLOCK records that all
    were at fault the strict reader reads the next block as well: the fast one would hardly be certain of it."""
    first, doubtful, step, certain, hopeless = 0, count, BLOCK, 0, False
    while first < count and may_go_on():
        if hopeless:
            doubtful = min(first + BLOCK, count)
        known = doubtful > first
        if known and doubtful - first <= BLOCK:
            good = [read_strictly(index) for index in range(first, doubtful)]
            hopeless = not any(good)
            first, step, certain = doubtful, max(BLOCK, certain), 0
            continue
        last = (first + doubtful) // 2 if known else min(first + step, count)
        if not read_certain(first, last):
            doubtful = last
            continue
        certain += last - first
        first, step = last, step * 2
