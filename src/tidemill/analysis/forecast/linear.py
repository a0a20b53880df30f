"""Direct ridge regression: all steps of the horizon at once from lags of the history, one solve for all.

Features are the last values, the values a season (and a week, and twice both) before each target, all minus the local
level, and pairs of sines and cosines of the phase. Rows are weighted for recency and, by two rounds of iteratively
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
_MAX_COLUMNS: Final = 260
_WORK: Final = 1.6e8  # rows x columns^2
_FEWEST_ROWS: Final = 600
_MOST_ROWS: Final = 4_000
_PENALTIES: Final = (3e-4, 3e-3, 3e-2, 0.3, 3.0)
_ROUNDS: Final = 2


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
    """Which columns a row has: lags (0: the last value), the length of the local level, and the waves of phases."""

    lags: Integers
    level: int
    waves: Floats  # angular frequencies of pairs of sine and cosine
    chunk: int

    @property
    def reach(self) -> int:
        """The number of values before an origin that a row needs."""
        return max(int(self.lags.max()) + 1, self.level)

    def columns(self, windows: Narrow, origins: Integers) -> tuple[Narrow, Narrow]:
        """The rows (origins x columns) and the local levels of windows that end before each origin."""
        level = windows[:, -self.level :].mean(axis=1, keepdims=True)
        lagged = windows[:, windows.shape[1] - 1 - self.lags] - level
        angles = origins[:, None] * self.waves
        parts = (lagged, np.cos(angles), np.sin(angles), np.ones((len(origins), 1)))
        return np.concatenate(parts, axis=1, dtype=np.float32), level


def linear(history: History, variant: Variant) -> Candidate | None:
    """The forecasts of one variant, with the penalty that did best in the back-test; None where rows are too few.

    The back-test has two folds: the second half of its origins is forecast by a fit that ends where that half begins.
    """
    warp = variant.warp
    if warp and not warp.suits(history.values):
        return None
    raw = warp.forward(history.values) if warp else history.values
    middle, scale = float(np.median(raw)), float(raw.std()) or 1.0
    y = ((raw - middle) / scale).astype(np.float32)
    design = _design(history, variant)
    if design is None:
        return None

    def predicted(coefficients: Narrow, origins: Integers) -> Floats:
        made = _predict(y, design, coefficients, origins, history.horizon) * scale + middle
        return warp.back(made, history.values) if warp else made

    made = [[] for _ in _PENALTIES]
    coefficients = None
    for end, origins in folds(history):
        rows = _rows(design, end, design.chunk)
        fitted, coefficients = _fit(y, design, rows, variant, coefficients)
        for k, coefficient in enumerate(fitted):
            made[k].append(predicted(coefficient, origins))
    tests = [np.concatenate(parts) for parts in made]
    truth = history.truth(history.origins)
    errors = [mean_error(test, truth) for test in tests]
    best = int(np.argmin(errors))
    if not np.isfinite(errors[best]):
        return None
    last = _refit(y, design, coefficients, variant, best)
    end = predicted(last, np.array([len(y)]))
    return candidate(variant.name, np.concatenate((tests[best], end)))


def _design(history: History, variant: Variant) -> _Design | None:
    """The columns for a history; fewer where it is short."""
    seasons = [s for s in history.seasons if 3 * s + history.horizon <= history.cut]
    season = seasons[0] if seasons else 1
    chunk = min(history.horizon, _MAX_CHUNK)
    room = (history.cut - chunk) // 2  # so that there are as many rows as the reach is long
    count = season if season >= 24 else season * max(24 // season, 1)
    near = max(4 * chunk, 24)
    count = min(count, near, _MAX_LAGS, max(room // 2, 2))
    if variant.short:
        count = max(count // 2, min(count, 4))
    lags = set(range(count))
    for multiple in (1, 2):
        for steps in seasons:
            before = {steps * multiple - 1 - h for h in range(chunk)}
            more = {k for k in before if 0 <= k < room}
            if len(lags | more) <= _MAX_COLUMNS - 40:
                lags |= more
    waves = [
        2 * np.pi * j / s
        for s, most in zip(seasons, (8, 10, 3), strict=False)
        for j in range(1, min(most, (s - 1) // 2) + 1)
    ]
    waves = sorted({round(w, 12) for w in waves})
    level = 1 if variant.short else min(season if 1 < season <= near else count, room)
    if history.cut - chunk - max(max(lags) + 1, level) < 12:
        return None
    return _Design(np.array(sorted(lags)), level, np.array(waves), chunk)


def _rows(design: _Design, end: int, chunk: int) -> Integers:
    """The origins of the rows whose targets are all before `end`, thinned evenly to what the time allows."""
    columns = len(design.lags) + 2 * len(design.waves) + 1
    most = int(np.clip(_WORK / columns**2, _FEWEST_ROWS, _MOST_ROWS))
    first, last = design.reach, end - chunk
    stride = max(1, -(-(last - first + 1) // most))
    return np.arange(last, first - 1, -stride)[::-1]


def _windows(y: Narrow, design: _Design, origins: Integers) -> Narrow:
    return np.lib.stride_tricks.sliding_window_view(y, design.reach)[origins - design.reach]


def _sample(y: Narrow, design: _Design, rows: Integers) -> tuple[Narrow, Narrow]:
    """Columns and targets of rows, both minus the local level."""
    x, level = design.columns(_windows(y, design, rows), rows)
    targets = np.lib.stride_tricks.sliding_window_view(y, design.chunk)[rows]
    return x, targets - level


def _fit(
    y: Narrow, design: _Design, rows: Integers, variant: Variant, coefficients: Narrow | None
) -> tuple[list[Narrow], Narrow]:
    """Coefficients for each penalty, and those of the middle one; `coefficients` of an earlier fit save a round."""
    x, targets = _sample(y, design, rows)
    recency = np.exp(-variant.forgetting * (rows[-1] - rows) / max(rows[-1] - rows[0], 1)).astype(np.float32)
    middle = len(_PENALTIES) // 2
    weights = recency if coefficients is None else recency * _robust(x, targets, coefficients)
    for _ in range(_ROUNDS if coefficients is None else 0):
        coefficients = _solve(x, targets, weights, (_PENALTIES[middle],))[0]
        weights = recency * _robust(x, targets, coefficients)
    fitted = _solve(x, targets, weights, _PENALTIES)
    return fitted, fitted[middle]


def _refit(y: Narrow, design: _Design, coefficients: Narrow, variant: Variant, penalty: int) -> Narrow:
    """Coefficients from the whole history, with the penalty of the back-test."""
    rows = _rows(design, len(y), design.chunk)
    x, targets = _sample(y, design, rows)
    recency = np.exp(-variant.forgetting * (rows[-1] - rows) / max(rows[-1] - rows[0], 1)).astype(np.float32)
    weights = recency * _robust(x, targets, coefficients)
    return _solve(x, targets, weights, (_PENALTIES[penalty],))[0]


def _robust(x: Narrow, targets: Narrow, coefficients: Narrow) -> Narrow:
    """Weights that turn squares into absolute errors: 1 / max(mean |e| of the row, half the median)."""
    errors = np.abs(targets - x @ coefficients).mean(axis=1)
    weights = 1 / np.maximum(errors, max(float(np.median(errors)) / 2, 1e-12))
    return np.asarray(weights / weights.mean(), dtype=np.float32)


def _solve(x: Narrow, targets: Narrow, weights: Narrow, penalties: tuple[float, ...]) -> list[Narrow]:
    """Ridge coefficients (columns x chunk) for each penalty, a share of the weights' sum; columns have about unit variance."""
    root = np.sqrt(weights)[:, None]
    xw, tw = x * root, targets * root
    gram = (xw.T @ xw).astype(np.float64)
    moment = (xw.T @ tw).astype(np.float64)
    total = float(weights.sum())
    if len(penalties) == 1:
        gram[np.diag_indices_from(gram)] += penalties[0] * total * 0.1
        return [np.linalg.solve(gram, moment).astype(np.float32)]
    values, vectors = np.linalg.eigh(gram)
    turned = vectors.T @ moment
    values = np.maximum(values, 0)[:, None]
    return [(vectors @ (turned / (values + p * total * 0.1))).astype(np.float32) for p in penalties]


def _predict(y: Narrow, design: _Design, coefficients: Narrow, origins: Integers, horizon: int) -> Floats:
    """Forecasts from each origin (origins x horizon), chunk by chunk."""
    windows, at, parts, made = _windows(y, design, origins), origins, [], 0
    while made < horizon:
        x, level = design.columns(windows, at)
        part = x @ coefficients + level
        parts.append(part)
        made += design.chunk
        if made < horizon:
            windows = np.concatenate((windows, part), axis=1)[:, -design.reach :]
            at = at + design.chunk
    return np.concatenate(parts, axis=1)[:, :horizon].astype(np.float64)
