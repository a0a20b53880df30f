"""Says which integers a double holds exactly, and what becomes of the others: [input] `not_exact`.

Every value becomes a double, which holds each integer up to 2^53, and beyond it only some. The fast reader is certain
of numbers between -2^53 and 2^53 only, so that the others are read by their digits.
"""

from typing import Any, Final

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from tidemill.decode.fault_collector import FaultCollector
from tidemill.feeds.definition import NotExact

EXACT: Final = 2**53  # every integer up to here is a double


def holds_exactly(number: int) -> bool:
    """Whether a double holds an integer exactly; the integer must be within the range of a double."""
    return -EXACT <= number <= EXACT or int(float(number)) == number


def is_exact(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Boolean per number: whether a double can hold it exactly."""
    if numbers.dtype.kind == "f" or numbers.dtype.itemsize < 8 or not numbers.size:
        return np.ones(numbers.shape, np.bool_)
    sizes = np.abs(numbers).astype(np.uint64)  # -2^63 has no counterpart in int64; as uint64 it is right again
    if sizes.max() <= EXACT:
        return np.ones(numbers.shape, np.bool_)
    lowest = np.maximum(sizes & (~sizes + np.uint64(1)), np.uint64(1))  # the value of the lowest bit that is set
    return np.asarray(sizes // lowest <= EXACT)


def judge_exactness(number: int, path: str, policy: NotExact, faults: FaultCollector) -> bool:
    """Whether an integer may become a double under the policy; else a fault is added. A flagged one is marked."""
    if policy == "round" or holds_exactly(number):
        return True
    if policy == "flag":
        faults.mark("not_exact")
        return True
    message = f"{str(number)[:40]} is an integer that a double cannot hold exactly ([input] not_exact)"
    faults.add(path, "not_exact", message)
    return False


def certain_bounds(policy: NotExact, low: float | None = None, high: float | None = None) -> Meta | None:
    """What msgspec checks of a number: the bounds `low` and `high`, both inclusive, and, unless the policy is `round`,
    that it is so small that no digit can be lost. None where there is nothing to check."""
    if policy == "round":
        return None if low is None and high is None else Meta(ge=low, le=high)
    least: dict[str, Any] = {"gt": -EXACT} if low is None or low <= -EXACT else {"ge": low}
    most: dict[str, Any] = {"lt": EXACT} if high is None or high >= EXACT else {"le": high}
    return Meta(**least, **most)
