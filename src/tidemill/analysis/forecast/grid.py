"""Puts the points of a series onto an even grid of slots: drops closed hours, cuts at long gaps, fills short ones.

A slot without a value is missing. Hours that never have a value (a bank's nights) are no gaps: these slots are left
out, and the answer says so. A gap shorter than a season is filled from the same phase before and after; a longer one
cuts the history. What was filled is marked, and is never scored.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.steps import Floats, Integers, SamplingStep, recognise_step

Flags = NDArray[np.bool_]

MAX_SLOTS: Final = 5_000  # more history costs time and gains nothing (500: 0.830, 2,500: 0.739, 5,000: 0.722)
_CLOSED_MISSING: Final = 0.15  # of the slots must be missing before closed hours are looked for
_CLOSED_SHARE: Final = 0.05  # a phase with fewer values than this share of its slots is closed
_OPEN_SHARE: Final = 0.8  # and the other phases must have this share


class Grid(msgspec.Struct, frozen=True):
    """The last slots of a series: `values` (float64, none missing), `filled` marks those that were not measured.

    `times_ns` is the time of each slot (where it was filled, that of the value before). `seasons` names the calendar's
    seasons in slots; `open_slots` marks the phases of the longest one that are open, or is None where all are; `phase`
    is that of the first slot after the last.
    """

    times_ns: Integers
    values: Floats
    filled: Flags
    step: SamplingStep
    seasons: tuple[tuple[str, int], ...]
    open_slots: Flags | None
    phase: int
    notes: tuple[str, ...]

    def following(self, horizon: int) -> tuple[Integers, Integers]:
        """The next `horizon` times, and the slot of each, counted from the one after the last."""
        if self.open_slots is None:
            return self.step.following(int(self.times_ns[-1]), horizon)
        cycle = len(self.open_slots)
        cycles = horizon // int(self.open_slots.sum()) + 2
        times, slots = self.step.following(int(self.times_ns[-1]), cycles * cycle)
        is_open = self.open_slots[(self.phase + slots) % cycle]
        before = np.concatenate(([0], np.cumsum(self.open_slots[(self.phase + np.arange(slots[-1] + 1)) % cycle])))
        return times[is_open][:horizon], before[slots[is_open]][:horizon]


def make_grid(times_ns: Integers, values: Floats, tz: str | None) -> Grid:
    """The grid of at least two points at ascending `times_ns` with `values` (NaN: missing, at most the last is kept).

    Raises UnevenSamplingError. Points of one slot are averaged.
    """
    present = ~np.isnan(values)
    times_ns, values = times_ns[present], values[present]
    step = recognise_step(times_ns, tz)
    numbers = step.numbers(times_ns)
    kept = numbers > numbers[-1] - 2 * MAX_SLOTS
    numbers, values = numbers[kept] - numbers[kept].min(), values[kept]
    slots, times = _averaged(numbers, values), _times(numbers, times_ns[kept])
    seasons, notes = step.seasons(), list[str]()
    closed = _closed(slots, seasons, notes)
    phase = 0
    if closed is not None:
        seasons, is_open = closed
        at = np.arange(len(slots)) % len(is_open)
        phase = len(slots) % len(is_open)
        slots, times = slots[is_open[at]], times[is_open[at]]
    slots = _cut_at_gaps(slots[-MAX_SLOTS:], seasons, notes)
    filled = np.isnan(slots)
    if filled.any():
        notes.append(f"{filled.mean():.1%} of {len(slots)} values were missing and were filled; they are not scored")
    whole = _filled(slots, [steps for _, steps in seasons])
    open_slots = None if closed is None else closed[1]
    return Grid(times[-len(slots) :], whole, filled, step, seasons, open_slots, phase, tuple(notes))


def _times(numbers: Integers, times_ns: Integers) -> Integers:
    """The time of each slot; where it has no point, that of the newest point before."""
    times = np.full(int(numbers.max()) + 1, np.iinfo(np.int64).min)
    times[numbers] = times_ns
    return np.maximum.accumulate(times)


def _averaged(numbers: Integers, values: Floats) -> Floats:
    """One value a slot: the mean of its points, NaN without."""
    if len(numbers) == numbers[-1] + 1 and np.all(np.diff(numbers) == 1):
        return values
    size = int(numbers.max()) + 1
    counts = np.bincount(numbers, minlength=size)
    means = np.zeros(size)
    np.add.at(means, numbers, values / counts[numbers])
    means[counts == 0] = np.nan
    return means


def _closed(
    slots: Floats, seasons: tuple[tuple[str, int], ...], notes: list[str]
) -> tuple[tuple[tuple[str, int], ...], Flags] | None:
    """The phases of the week (else of the day) that are open, and the seasons in open slots; None: all are."""
    missing = np.isnan(slots)
    if missing.mean() < _CLOSED_MISSING:
        return None
    named = dict(seasons)
    for name in ("week", "day"):
        cycle = named.get(name, 0)
        if not cycle or len(slots) < 3 * cycle:
            continue
        phases = np.arange(len(slots)) % cycle
        share = np.bincount(phases, ~missing, cycle) / np.bincount(phases, minlength=cycle)
        is_open = share >= _CLOSED_SHARE
        if is_open.all() or share[is_open].mean() < _OPEN_SHARE:
            continue
        notes.append(
            f"{(~is_open).mean():.0%} of the slots of a {name} never have a value (closed hours): they are left out, "
            "and the forecast has no times in them"
        )
        return _open_seasons(is_open, named, name), is_open
    return None


def _open_seasons(is_open: Flags, named: dict[str, int], cycle: str) -> tuple[tuple[str, int], ...]:
    """The seasons in open slots: a day where all open days have the same number of them, and the week."""
    days = is_open.reshape(-1, named["day"]).sum(axis=1) if "day" in named else is_open.astype(int)
    days = np.unique(days[days > 0])
    seasons = [("day", int(days[0]))] if len(days) == 1 and days[0] >= 2 else []
    weeks = named.get("week", 0) // named[cycle]
    if weeks and int(is_open.sum()) * weeks >= 2:
        seasons.append(("week", int(is_open.sum()) * weeks))
    return tuple(seasons)


def _cut_at_gaps(slots: Floats, seasons: tuple[tuple[str, int], ...], notes: list[str]) -> Floats:
    """Slots after the last gap that is longer than a season (the week, else the longest below a year)."""
    lengths = [steps for name, steps in seasons if name != "year"] or [12]
    longest = max(lengths[-1], 12)
    present = np.flatnonzero(~np.isnan(slots))
    breaks = np.flatnonzero(np.diff(present) > longest)
    begin = int(present[breaks[-1] + 1]) if len(breaks) else int(present[0])
    if len(breaks):
        notes.append(f"the history before a gap of {int(np.diff(present)[breaks[-1]]) - 1} values was not used")
    return slots[begin:]


def _filled(slots: Floats, seasons: list[int]) -> Floats:
    """Slots whose missing values are the mean of the same phase a season before and after, else interpolated."""
    missing = np.flatnonzero(np.isnan(slots))
    if not len(missing):
        return slots
    whole = slots.copy()
    for steps in [s for s in reversed(seasons) if 3 * s <= len(slots)]:
        padded = np.concatenate((np.full(steps, np.nan), slots, np.full(steps, np.nan)))
        around = np.stack((padded[missing], padded[missing + 2 * steps]))
        counts = (~np.isnan(around)).sum(axis=0)
        means = (np.where(np.isnan(around), 0, around) / np.maximum(counts, 1)).sum(axis=0)
        left = np.isnan(whole[missing]) & (counts > 0)
        whole[missing[left]] = means[left]
    rest = np.isnan(whole)
    if rest.any():
        at = np.arange(len(whole))
        whole[rest] = 4 * np.interp(at[rest], at[~rest], whole[~rest] / 4)  # steps of the largest doubles overflow
    return whole
