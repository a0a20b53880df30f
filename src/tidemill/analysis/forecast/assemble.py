"""Assembles the answer of a forecast in the unit of the series."""

from collections.abc import Sequence

import msgspec
import numpy as np

from tidemill.analysis.forecast.answer import BackTest, Baseline, Forecast, Interval, ModelWeight, Used
from tidemill.analysis.forecast.candidate import Candidate, mean_error
from tidemill.analysis.forecast.combine import Combination
from tidemill.analysis.forecast.grid import Grid
from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.intervals import bounds, coverage
from tidemill.analysis.forecast.scaling import Scaling
from tidemill.analysis.forecast.scores import best_naive, naive_error, ratio_to_naive, scores
from tidemill.analysis.periods import Period
from tidemill.analysis.steps import Floats, Integers


class Made(msgspec.Struct, frozen=True):
    """What a forecast was made of: everything that its answer tells."""

    grid: Grid
    history: History
    candidates: tuple[Candidate, ...]
    mixed: Combination
    scaling: Scaling
    floor: float  # in the unit of the series: nothing of the answer is below it
    periods: tuple[Period, ...]


def answer(made: Made, ahead: tuple[Integers, Integers], levels: Sequence[float], model: str) -> Forecast:
    """The answer for the times and slots `ahead`."""
    times, slots = ahead
    result = made.mixed.result
    limits = bounds(made.history, result, levels)
    restored = {
        level_key(level): Interval(*(_restored(made, side)[slots] for side in both)) for level, both in limits.items()
    }
    chosen = zip(made.mixed.chosen, made.mixed.weights, strict=True)
    return Forecast(
        times_ns=times,
        values=_restored(made, result.forecast)[slots],
        levels=restored,
        interval=made.grid.step.name,
        model=model,
        chosen=tuple(ModelWeight(c.name, w) for c, w in chosen),
        periods=made.periods,
        back_test=_back_test(made, levels),
        baseline=_baseline(made, slots),
        used=_used(made.grid),
        notes=made.grid.notes,
    )


def constant_answer(grid: Grid, times: Integers, levels: Sequence[float], minimum: float | None) -> Forecast:
    """The answer for a series whose values are all equal: that value, with bounds of no width."""
    value = grid.values[0] if minimum is None else max(grid.values[0], minimum)
    values = np.full(len(times), value)
    return Forecast(
        times_ns=times,
        values=values,
        levels={level_key(level): Interval(values, values) for level in levels},
        interval=grid.step.name,
        model="naive",
        chosen=(ModelWeight("naive", 1.0),),
        periods=(),
        back_test=None,
        baseline=Baseline("naive", values, None),
        used=_used(grid),
        notes=(*grid.notes, "all values are equal: the forecast is that value, and nothing was tested"),
    )


def level_key(level: float) -> str:
    """The key of a level in an answer: `80`, `97.5`."""
    return f"{level:g}"


def _restored(made: Made, values: Floats) -> Floats:
    return np.maximum(made.scaling.restored(values), made.floor)


def _back_test(made: Made, levels: Sequence[float]) -> BackTest:
    history, result = made.history, made.mixed.result
    truth = history.truth(history.origins)
    ordered = [result, *sorted(made.candidates, key=lambda c: mean_error(c.back_test, truth))]
    return BackTest(
        origins=len(history.origins),
        from_ns=int(made.grid.times_ns[history.origins[0]]),
        to_ns=int(made.grid.times_ns[-1]),
        models=scores(history, ordered, made.scaling.exponent, made.scaling.offset),
        coverage={level_key(level): share for level, share in coverage(history, result, levels).items()},
        ratio_to_seasonal_naive=ratio_to_naive(result, made.candidates, truth),
    )


def _baseline(made: Made, slots: Integers) -> Baseline:
    naive = best_naive(made.candidates, made.history.truth(made.history.origins))
    scale = float(np.ldexp(naive_error(made.history), made.scaling.exponent))
    return Baseline(naive.name, _restored(made, naive.forecast)[slots], scale if scale > 0 else None)


def _used(grid: Grid) -> Used:
    return Used(len(grid.values), int(grid.times_ns[0]), int(grid.times_ns[-1]), int(grid.filled.sum()))
