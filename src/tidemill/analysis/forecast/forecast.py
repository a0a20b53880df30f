"""Forecasts one series: grid, periods, models with their back-test, weights, bounds. Arrays in, a frozen struct out."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.forecast.analog import analog
from tidemill.analysis.forecast.answer import Forecast
from tidemill.analysis.forecast.assemble import Made, answer, constant_answer
from tidemill.analysis.forecast.candidate import Candidate
from tidemill.analysis.forecast.combine import NAIVE, combine
from tidemill.analysis.forecast.grid import Grid, make_grid
from tidemill.analysis.forecast.history import History, make_history
from tidemill.analysis.forecast.linear import linear_models
from tidemill.analysis.forecast.pooled import pooled
from tidemill.analysis.forecast.repeats import drift, naive, seasonal_mean, seasonal_naives
from tidemill.analysis.forecast.scaling import make_scaling
from tidemill.analysis.forecast.smoothing import smoothing
from tidemill.analysis.forecast.warp import LOGARITHM, ROOT
from tidemill.analysis.periods import Period, detect_periods
from tidemill.analysis.steps import Floats
from tidemill.errors import Fault, InputError, NotEnoughPointsError, SeriesError
from tidemill.model.zones import zone

MODELS: Final = (
    "auto",
    "naive",
    "seasonal_naive",
    "drift",
    "seasonal_mean",
    "theta",
    "ets",
    "double_seasonal",
    "linear",
    "analog",
)
MAX_HORIZON: Final = 1_000
FEWEST_POINTS: Final = 12
HORIZONS: Final = 3  # of history that a horizon needs
_CYCLES: Final = 5  # of no calendar must be in the history, for models to learn them; unless they are short:
_NEAR: Final = 4  # horizons
_RESTING: Final = 0.02  # of the values equal the smallest: the series rests on it, as a meter on 0
_RESTING_LEAST: Final = 4  # values
# Tried even where it does not stand out: so short a history often hides its season. Steps by name.
_LIKELY: Final = {("year", 12), ("year", 4), ("week", 7)}


def forecast(
    times_ns: NDArray[np.int64],
    values: Floats,
    horizon: int,
    levels: Sequence[float] = (80, 95),
    *,
    model: str = "auto",
    minimum: float | None = None,
    tz: str | None = None,
) -> Forecast:
    """The next `horizon` values of a series: ascending `times_ns` (int64 ns UTC) with `values` (float64, NaN: missing).

    `levels` are percents between 0 and 100; `model` is one of MODELS; `minimum` clips values and bounds; `tz` (an IANA
    name) numbers the points by local wall time. At most the last 5,000 slots are used. Raises InputError for a bad
    parameter, NotEnoughPointsError below max(12, 3 x horizon) values, UnevenSamplingError.
    """
    _check_times(times_ns, values)
    _check_parameters(horizon, levels, model, tz)
    grid = checked_grid(times_ns, values, horizon, tz)
    ahead = grid.following(horizon)
    if grid.values.min() == grid.values.max():
        return constant_answer(grid, ahead[0], levels, minimum)
    scaling = make_scaling(grid.values)
    scaled = scaling.scaled(grid.values)
    periods = detect_periods(scaled, grid.seasons)
    history = make_history(scaled, ~grid.filled, *_seasons(grid, periods, horizon), int(ahead[1].max()) + 1)
    floor = _floor(grid.values, minimum)
    low = float(scaling.scaled(np.array(floor)))
    candidates = tuple(_clipped(c, low) for c in _candidates(history, model))
    named = _named(candidates, model)
    mixed = combine(
        named, history.truth(history.origins), float(np.ptp(scaled)), history.windows, guarded=model == "auto"
    )
    return answer(Made(grid, history, candidates, mixed, scaling, floor, periods), ahead, levels, model)


def checked_grid(times_ns: NDArray[np.int64], values: Floats, horizon: int, tz: str | None) -> Grid:
    """The grid of a series that is fit for a forecast of `horizon` steps; arguments as of `forecast`. Takes a few ms.
    Raises NotEnoughPointsError, UnevenSamplingError."""
    _check_enough(int((~np.isnan(values)).sum()), horizon)
    grid = make_grid(times_ns, values, tz)
    _check_enough(len(grid.values), horizon)
    return grid


def _seasons(grid: Grid, periods: Sequence[Period], horizon: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The seasons that models learn, and the periods that a naive forecast may repeat: day and week, always."""
    n = len(grid.values)
    seasons = sorted(
        p.steps for p in periods if p.name != "cycle" or p.steps <= _NEAR * horizon or p.steps * _CYCLES <= n
    )
    if not seasons:
        seasons = [steps for name, steps in grid.seasons if (name, steps) in _LIKELY and n >= 2 * steps][:1]
    calendar = [steps for name, steps in grid.seasons if name != "year" or steps in (4, 12)]
    repeats = sorted({*seasons, *(steps for steps in calendar if n >= 3 * steps)})
    return tuple(seasons), tuple(repeats)


def _candidates(history: History, model: str) -> list[Candidate]:
    """The candidates of a model, or of all; naive and seasonal naive are always among them."""
    wanted = MODELS[1:] if model == "auto" else (model,)
    made: list[Candidate | None] = [naive(history), *seasonal_naives(history)]
    if "drift" in wanted:
        made.append(drift(history))
    if "seasonal_mean" in wanted:
        made.append(seasonal_mean(history))
    if "analog" in wanted:
        made.append(analog(history))
    smoothed = {"ets", "theta", "double_seasonal"}.intersection(wanted)
    if smoothed:
        made.extend(smoothing(history, smoothed))
    if "linear" in wanted:
        made.extend(linear_models(history))
        made.append(pooled(history, "linear_pooled"))
        made.append(pooled(history, "linear_pooled_log", LOGARITHM))
        made.append(pooled(history, "linear_pooled_root", ROOT))
    return [c for c in made if c is not None and np.isfinite(c.forecast).all()]


def _named(candidates: Sequence[Candidate], model: str) -> list[Candidate]:
    """The candidates of a model: with `auto` all, else those of its name (of raw values, of logarithms, ...)."""
    if model == "auto":
        return list(candidates)
    if model in NAIVE:
        named = [c for c in candidates if c.name == model]
    else:
        named = [c for c in candidates if c.name.startswith(model)]
    if not named:
        message = f"the model '{model}' needs a season that the history shows often enough; ask for model=auto"
        raise SeriesError(message)
    return named


def _floor(values: Floats, minimum: float | None) -> float:
    """The declared minimum, or the smallest value where the series rests on it; else minus infinity."""
    if minimum is not None:
        return minimum
    lowest = float(values.min())
    return lowest if (values == lowest).sum() >= max(_RESTING * len(values), _RESTING_LEAST) else -math.inf


def _clipped(candidate: Candidate, low: float) -> Candidate:
    return Candidate(candidate.name, np.maximum(candidate.back_test, low), np.maximum(candidate.forecast, low))


def _check_times(times_ns: NDArray[np.int64], values: Floats) -> None:
    """Raises InputError for arrays that are no series."""
    if len(times_ns) != len(values) or (len(times_ns) > 1 and not (np.diff(times_ns) > 0).all()):
        raise _input_error([Fault("times_ns", "order", "times must ascend, and there must be one for each value")])
    if np.isinf(values).any():
        raise _input_error([Fault("values", "not_finite", "values must be finite; a missing value is NaN")])


def _check_parameters(horizon: int, levels: Sequence[float], model: str, tz: str | None) -> None:
    """Raises InputError with every faulty parameter."""
    faults = []
    if not 1 <= horizon <= MAX_HORIZON:
        faults.append(Fault("horizon", "out_of_range", f"horizon must be 1 to {MAX_HORIZON}, not {horizon}"))
    if not levels or not all(0 < level < 100 for level in levels):
        faults.append(Fault("levels", "out_of_range", "levels must be percents above 0 and below 100, such as 80,95"))
    if model not in MODELS:
        faults.append(Fault("model", "unknown", f"model must be one of {', '.join(MODELS)}, not '{model[:40]}'"))
    if tz is not None and zone(tz) is None:
        faults.append(Fault("tz", "unknown", f"tz must be an IANA name such as Europe/Zurich, not '{tz[:40]}'"))
    if faults:
        raise _input_error(faults)


def _input_error(faults: list[Fault]) -> InputError:
    return InputError("; ".join(fault.message for fault in faults), tuple(faults))


def _check_enough(present: int, horizon: int) -> None:
    needed = max(FEWEST_POINTS, HORIZONS * horizon)
    if present < needed:
        message = f"a forecast of {horizon} steps needs at least {needed} values; there are {present}"
        raise NotEnoughPointsError(present, needed, message)
