"""Direct ridge regression: all steps of the horizon at once from lags of the history, one solve for all.

Features are the last values, the values a season (and a week, and twice both) before each target, all minus the local
level, and pairs of sines and cosines of the phase. Rows are weighted for recency and, by rounds of iteratively
reweighted least squares, towards the median (Holland and Welsch 1977, Communications in Statistics A6(9)). Ridge: Hoerl
and Kennard (1970), Technometrics 12(1). That a linear map of lags competes with far larger models: Toner and Darlow
(2024), arXiv 2403.14587.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.forecast.candidate import Candidate, candidate, mean_error
from tidemill.analysis.forecast.folds import folds
from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats, Integers
from tidemill.analysis.forecast.warp import LOGARITHM, ROOT, Warp

Narrow = NDArray[np.float32]

_MAX_LAGS: Final = 168
_MAX_CHUNK: Final = 192  # steps at once; beyond, the model is fed with its own forecast
_MAX_LAG_COLUMNS: Final = 220
_WORK: Final = 8e7  # rows x columns^2
_FEWEST_ROWS: Final = 600
_MOST_ROWS: Final = 2_000  # neighbouring rows share their targets: every second tells nearly as much
_PENALTIES: Final = (3e-5, 3e-4, 3e-3, 3e-2, 0.3)
_MIDDLE: Final = 2
_PAIRS: Final = (8, 10, 3)  # of sine and cosine, in the first, second and third season
_FEWEST: Final = 12  # rows


class Variant(msgspec.Struct, frozen=True):
    """How one linear model differs from the others."""

    name: str
    warp: Warp | None = None  # of the values
    short: bool = False  # half of the lags, level = last value
    forgetting: float = 0.7  # a row of the begin of the history weighs e to the minus this


VARIANTS: Final = (
    Variant("linear"),
    Variant("linear_log", warp=LOGARITHM),
    Variant("linear_root", warp=ROOT),
    Variant("linear_short", short=True, forgetting=2.0),
)


class _Design(msgspec.Struct, frozen=True):
    """Which columns a row has: lags (0: the last value), the length of the local level, and steps at once."""

    lags: Integers
    level: int
    chunk: int

    @property
    def reach(self) -> int:
        """The number of values before an origin that a row needs."""
        return max(int(self.lags.max()) + 1, self.level)


class _Sample(msgspec.Struct, frozen=True):
    """Columns and targets of evenly spaced origins, both minus the local level: one origin a column of the arrays."""

    x: Narrow
    targets: Narrow
    origins: Integers

    def before(self, end: int, chunk: int) -> "_Sample":
        """Those whose targets are all before `end`."""
        count = int(np.searchsorted(self.origins, end - chunk, side="right"))
        return _Sample(self.x[:, :count], self.targets[:, :count], self.origins[:count])

    def recency(self, forgetting: float) -> Narrow:
        """The weight of each origin: newer ones count more."""
        age = (self.origins[-1] - self.origins) / max(self.origins[-1] - self.origins[0], 1)
        return np.asarray(np.exp(-forgetting * age), dtype=np.float32)


def linear_models(history: History) -> list[Candidate]:
    """The forecasts of all variants that suit the history."""
    seasons = _usable(history)
    waves = _waves(seasons, len(history.values) + history.horizon + 1)
    made = (_linear(history, variant, seasons, waves) for variant in VARIANTS)
    return [candidate for candidate in made if candidate is not None]


def _usable(history: History) -> list[int]:
    return [s for s in history.seasons if 3 * s + history.horizon <= history.cut]


def _waves(seasons: list[int], count: int) -> Narrow:
    """Cosines and sines of the phase in each season at each index (waves x count), and ones."""
    angular = {
        round(2 * np.pi * j / s, 12)
        for s, most in zip(seasons, _PAIRS, strict=False)
        for j in range(1, min(most, (s - 1) // 2) + 1)
    }
    angles = np.array(sorted(angular))[:, None] * np.arange(count)
    return np.concatenate((np.cos(angles), np.sin(angles), np.ones((1, count)))).astype(np.float32)


def _linear(history: History, variant: Variant, seasons: list[int], waves: Narrow) -> Candidate | None:
    """The forecasts of one variant, with the penalty that did best in the back-test; None where rows are too few."""
    warp = variant.warp
    if warp and not warp.suits(history.values):
        return None
    design = _design(history, variant, seasons)
    if design is None:
        return None
    raw = warp.forward(history.values) if warp else history.values
    middle, scale = float(np.median(raw[: history.cut])), float(raw[: history.cut].std()) or 1.0
    y = ((raw - middle) / scale).astype(np.float32)

    def predicted(fitted: list[Narrow], origins: Integers) -> list[Floats]:
        made = [
            part * scale + middle
            for part in _predict(y, design, waves, fitted, origins=origins, horizon=history.horizon)
        ]
        return [warp.back(part, history.values) for part in made] if warp else made

    sample = _sample(y, design, waves)
    tests: list[list[Floats]] = [[] for _ in _PENALTIES]
    coefficients: Narrow | None = None
    for end, origins in folds(history):
        fitted = _fit(sample.before(end, design.chunk), variant, coefficients)
        coefficients = fitted[_MIDDLE]
        for k, part in enumerate(predicted(fitted, origins)):
            tests[k].append(part)
    made = [np.concatenate(parts) for parts in tests]
    errors = [mean_error(test, history.truth(history.origins)) for test in made]
    best = int(np.argmin(errors))
    if coefficients is None or not np.isfinite(errors[best]):
        return None
    weights = sample.recency(variant.forgetting) * _robust(sample, coefficients)
    last = _solve(sample, weights, (_PENALTIES[best],))
    return candidate(variant.name, np.concatenate((made[best], *predicted(last, np.array([len(y)])))))


def _design(history: History, variant: Variant, seasons: list[int]) -> _Design | None:
    """The columns for a history; fewer where it is short."""
    season = seasons[0] if seasons else 1
    chunk = min(history.horizon, _MAX_CHUNK)
    room = (history.cut - chunk) // 2  # so that there are as many rows as the reach is long
    near = max(4 * chunk, 24)
    count = season if season >= 24 else season * max(24 // season, 1)
    count = min(count, near, _MAX_LAGS, max(room // 2, 2))
    if variant.short:
        count = max(count // 2, min(count, 4))
    lags = set(range(count))
    for multiple in (1, 2):
        for steps in seasons:
            more = {k for k in (steps * multiple - 1 - h for h in range(chunk)) if 0 <= k < room}
            if len(lags | more) <= _MAX_LAG_COLUMNS:
                lags |= more
    level = 1 if variant.short else min(season if 1 < season <= near else count, room)
    if history.cut - chunk - max(max(lags) + 1, level) < _FEWEST:
        return None
    return _Design(np.array(sorted(lags)), level, chunk)


def _sample(y: Narrow, design: _Design, waves: Narrow) -> _Sample:
    """All rows whose targets are in the history, thinned evenly to what the time allows."""
    columns = len(design.lags) + len(waves)
    most = int(np.clip(_WORK / columns**2, _FEWEST_ROWS, _MOST_ROWS))
    first, last = design.reach, len(y) - design.chunk
    stride = max(1, -(-(last - first + 1) // most))
    origins = np.arange(first + (last - first) % stride, last + 1, stride)
    begin, end = int(origins[0]), int(origins[-1]) + 1
    level = _levels(y, design.level, origins)
    x = np.empty((columns, len(origins)), dtype=np.float32)
    for k, lag in enumerate(design.lags.tolist()):
        np.subtract(y[begin - 1 - lag : end - 1 - lag : stride], level, x[k])
    x[len(design.lags) :] = waves[:, begin:end:stride]
    targets = np.stack([y[begin + h : end + h : stride] for h in range(design.chunk)]) - level
    return _Sample(x, targets, origins)


def _levels(y: Narrow, span: int, origins: Integers) -> Narrow:
    """The mean of the `span` values before each origin."""
    if span == 1:
        return y[origins - 1]
    sums = np.concatenate(([0.0], np.cumsum(y, dtype=np.float64)))
    return ((sums[origins] - sums[origins - span]) / span).astype(np.float32)


def _fit(sample: _Sample, variant: Variant, coefficients: Narrow | None) -> list[Narrow]:
    """Coefficients for each penalty; those of an earlier fit save the first round."""
    recency = sample.recency(variant.forgetting)
    if coefficients is None:
        half = _Sample(sample.x[:, ::2], sample.targets[:, ::2], sample.origins[::2])
        coefficients = _solve(half, recency[::2], (_PENALTIES[_MIDDLE],))[0]
    return _solve(sample, recency * _robust(sample, coefficients), _PENALTIES)


def _robust(sample: _Sample, coefficients: Narrow) -> Narrow:
    """Weights that turn squares into absolute errors: 1 / max(mean |e| of the row, half the median)."""
    errors = np.abs(sample.targets - coefficients.T @ sample.x).mean(axis=0)
    weights = 1 / np.maximum(errors, max(float(np.median(errors)) / 2, 1e-12))
    return np.asarray(weights / weights.mean(), dtype=np.float32)


def _solve(sample: _Sample, weights: Narrow, penalties: tuple[float, ...]) -> list[Narrow]:
    """Ridge coefficients (columns x chunk) for each penalty, a share of the sum of weights; values have variance 1."""
    root = np.sqrt(weights)
    weighted = sample.x * root
    gram = (weighted @ weighted.T).astype(np.float64)  # of itself: half the work
    moment = (weighted @ (sample.targets * root).T).astype(np.float64)
    unit = float(weights.sum())
    penalised = gram + np.array(penalties)[:, None, None] * unit * np.eye(len(gram))
    return list(np.linalg.solve(penalised, np.broadcast_to(moment, (len(penalties), *moment.shape))).astype(np.float32))


def _predict(
    y: Narrow, design: _Design, waves: Narrow, fitted: list[Narrow], *, origins: Integers, horizon: int
) -> list[Floats]:
    """Forecasts from each origin (origins x horizon) for each of the fitted coefficients, chunk by chunk."""
    begin = np.lib.stride_tricks.sliding_window_view(y, design.reach)[origins - design.reach]
    rows, level = _rows(begin, design, waves, origins)
    made = []
    for coefficients in fitted:
        windows, parts = begin, [rows @ coefficients + level]
        for first in range(design.chunk, horizon, design.chunk):
            windows = np.concatenate((windows, parts[-1]), axis=1)[:, -design.reach :]
            later, height = _rows(windows, design, waves, origins + first)
            parts.append(later @ coefficients + height)
        made.append(np.concatenate(parts, axis=1)[:, :horizon].astype(np.float64))
    return made


def _rows(windows: Narrow, design: _Design, waves: Narrow, origins: Integers) -> tuple[Narrow, Narrow]:
    """The columns of origins (one a row) from the values before each, and their local levels."""
    level = windows[:, -design.level :].mean(axis=1, keepdims=True)
    lagged = windows[:, design.reach - 1 - design.lags] - level
    phases = waves[:, np.minimum(origins, waves.shape[1] - 1)].T
    return np.concatenate((lagged, phases), axis=1), level
