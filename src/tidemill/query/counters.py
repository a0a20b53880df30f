"""The point before a range: where the increase of a counter begins.

The store merges versions of a point where it reads them (FINAL), and would read all earlier points for the latest one.
So a time is looked up first that is not later than it, without FINAL: one read of a few rows, as the table is sorted by
time. More are read only where the latest points were replaced by points that do not count.
"""

from typing import Any, Final

from tidemill.model.time import MIN_NS
from tidemill.store.client import Store

_WIDER: Final = 64  # times as many points in each further try


def time_before(store: Store, chosen: dict[str, Any], begin_ns: int) -> int:
    """The time (ns) of the latest current point with a value before `begin_ns`, of those that `chosen` (the parameters
    of the SQL fragment points_chosen, without its range) selects; `begin_ns` where there is none."""
    offset = 0
    last = begin_ns - 1
    while last >= MIN_NS:
        rows = store.rows("points_before_any", **chosen, first=MIN_NS, last=last, offset=offset)
        if not rows and not offset:
            return begin_ns
        first = rows[0]["ns"] if rows else MIN_NS
        current = store.rows("points_before", **chosen, first=first, last=last)
        if current:
            return int(current[0]["ns"])
        if not rows:
            return begin_ns
        offset = max(offset, 1) * _WIDER
    return begin_ns
