"""Chooses between the two instants of a local time in a fold, by the order of the series' records in the payload. Pure.

A payload whose times ascend (or descend) throughout runs through the repeated hour twice: where its clock goes back,
the second pass begins. With one pass only, it is the first if the record before it is as near as records of the payload
usually are to each other, and the second if that holds for the record after it. A record received before the second of
the two instants is of the first, and so are those of its pass. Where none of this decides, or where the order says what
cannot be, the fold stays UNCLEAR.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.model.time import NS_PER_S

FIRST: Final = 1
SECOND: Final = 2
UNCLEAR: Final = 0
_AHEAD_NS: Final = 300 * NS_PER_S  # how far a device's clock may be ahead of ours
_LONGEST_NS: Final = 6 * 3600 * NS_PER_S  # a clock was never put back by more

Ints = NDArray[np.int64]


def choose_folds(frame: pl.DataFrame, ns: Ints, folds: Ints, later: Ints) -> NDArray[np.uint8]:
    """FIRST, SECOND or UNCLEAR for each of the rows `folds` of a frame (`seq`, `idx`, `identity`, `received_ns`).
    `ns`: the instants of all rows, of rows in `folds` the earlier one; `later`: the later instants of `folds`."""
    chosen = np.zeros(len(folds), np.uint8)
    chosen[frame["received_ns"].to_numpy()[folds] < later - _AHEAD_NS] = FIRST
    if "identity" not in frame.columns:
        return chosen
    of_fold = np.full(len(ns), -1)
    of_fold[folds] = np.arange(len(folds))
    seqs, identities = frame["seq"].to_numpy(), frame["identity"].to_numpy()
    concerned = np.flatnonzero(np.isin(seqs, np.unique(seqs[folds])))
    order = concerned[np.lexsort((frame["idx"].to_numpy()[concerned], identities[concerned], seqs[concerned]))]
    ends = np.flatnonzero((np.diff(seqs[order]) != 0) | (np.diff(identities[order]) != 0)) + 1
    payload_order = _PayloadOrder(ns, of_fold, later, chosen)
    for rows in np.split(order, ends):
        if (of_fold[rows] >= 0).any():
            payload_order.decide_group(rows)
    return chosen


class _PayloadOrder:
    """Writes into `chosen` what the order of one series' records in one payload decides. `of_fold`: the number of a row
    among the folds, or -1."""

    def __init__(self, ns: Ints, of_fold: Ints, later: Ints, chosen: NDArray[np.uint8]) -> None:
        self._ns, self._of_fold, self._later, self._chosen = ns, of_fold, later, chosen
        self._certain = chosen == FIRST  # by the time of receipt, whatever the order

    def decide_group(self, rows: Ints) -> None:
        """Decide the folds of the records of one series in one payload; `rows` in the order of their index."""
        steps = np.diff(self._ns[rows])
        if int((steps < 0).sum()) > int((steps > 0).sum()):
            rows, steps = rows[::-1], -steps[::-1]
        usual = int(np.median(steps[steps > 0])) if (steps > 0).any() else 0
        inside = self._of_fold[rows] >= 0
        if (steps[~(inside[1:] & inside[:-1])] < 0).any():
            return  # the records are in no order
        bounds = np.flatnonzero(np.diff(inside.astype(np.int8)) != 0) + 1
        for part in np.split(np.arange(len(rows)), bounds):
            if inside[part[0]]:
                self._decide_run(rows, part, usual)

    def _decide_run(self, rows: Ints, part: Ints, usual: int) -> None:
        """Decide a run of neighbouring records whose local times are all in a fold. `part`: their indexes in `rows`;
        `usual`: the median step (ns) between records of the payload."""
        numbers, clock = self._of_fold[rows[part]], self._ns[rows[part]]
        falls = np.flatnonzero(np.diff(clock) <= 0) + 1
        if len(falls) > 1 or int(clock.max() - clock.min()) > _LONGEST_NS:
            return  # no order, or the hours of two years
        if len(falls) == 1:
            jump = int(self._later[numbers[falls[0]]] - clock[falls[0] - 1])
            if clock[falls[0]] == clock[falls[0] - 1] and usual and jump > 2 * usual:
                return  # more likely the same record twice
            if not self._certain[numbers[falls[0] :]].any():
                self._chosen[numbers[: falls[0]]] = FIRST
                self._chosen[numbers[falls[0] :]] = SECOND
            return
        if self._certain[numbers].any():
            self._chosen[numbers] = FIRST
            return
        first, last = int(part[0]), int(part[-1])
        near_before = first > 0 and 0 < clock[0] - self._ns[rows[first - 1]] <= usual
        near_behind = last + 1 < len(rows) and 0 < self._ns[rows[last + 1]] - self._later[numbers[-1]] <= usual
        if near_before != near_behind:
            self._chosen[numbers] = FIRST if near_before else SECOND
