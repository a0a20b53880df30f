"""Exponential smoothing of many parameter sets at once: a NumPy vector per step, one pass over the history.

One recursion in error-correction form holds all: level a, damped trend b, two seasons s and w, autocorrelated rest r.

    d_t = y_t - (a_{t-1} + phi b_{t-1} + s_{t-m} + w_{t-q});  e_t = d_t - rho d_{t-1}
    b_t = phi b_{t-1} + alpha beta e_t;  a_t = a_{t-1} + phi b_{t-1} + alpha e_t
    s_t = s_{t-m} + gamma e_t;  w_t = w_{t-q} + delta e_t

Damped additive Holt-Winters: Gardner (1985), "Exponential smoothing: the state of the art", J. of Forecasting 4(1);
here delta = rho = 0. Double seasonal: Taylor (2003), "Short-term electricity demand forecasting using double seasonal
exponential smoothing", Journal of the Operational Research Society 54(8), with beta = 0. Theta: simple smoothing with
half the slope of the history, Hyndman and Billah (2003), "Unmasking the Theta method", IJF 19(2).
"""

from itertools import product
from typing import Final

import msgspec
import numpy as np

from tidemill.analysis.forecast.candidate import Candidate, Selection, candidate
from tidemill.analysis.forecast.history import History
from tidemill.analysis.forecast.steps import Floats, Integers
from tidemill.analysis.forecast.warp import exponential
from tidemill.analysis.periods import season_profile

_STEPS: Final = 900  # of the history before the cut
_FIRST_CYCLES: Final = 4  # that level, trend and profiles begin with
_KEPT: Final = 3  # parameter sets whose forecasts are averaged


_JUDGED: Final = 24  # steps of the horizon by which parameter sets are chosen
_ALL: Final = slice(None)


class Family(msgspec.Struct, frozen=True):
    """Parameter sets of one model: columns alpha, beta, phi, gamma, delta, rho."""

    name: str
    sets: tuple[tuple[float, ...], ...]
    logs: bool = False
    trended: bool = True  # the trend begins with that of the first two seasons; else with `slope`
    slope: float = 0.0


def families(history: History) -> list[Family]:
    """Holt-Winters (`ets`), theta and double seasonal; Holt-Winters and double seasonal of logarithms, too."""
    seasonal = bool(history.seasons)
    gammas = (0.03, 0.12, 0.3) if seasonal else (0.0,)
    alphas, betas, phis = (0.02, 0.1, 0.25, 0.5, 0.9), (0.0, 0.06), (0.85, 0.97)
    winters = tuple((a, b, p, g, 0.0, 0.0) for a, (b, p), g in product(alphas, _trends(betas, phis), gammas))
    theta = tuple((a, 0.0, 1.0, g, 0.0, 0.0) for a, g in product((0.05, 0.2, 0.5, 0.9), gammas[:2]))
    known = history.values[: history.cut]
    at = np.arange(len(known)) - (len(known) - 1) / 2
    slope = float(at @ known / max(float(at @ at), 1e-300))
    result = [Family("ets", winters), Family("theta", theta, trended=False, slope=slope / 2)]
    deltas = (0.04, 0.2) if len(history.seasons) > 1 else (0.0,)
    taylor = tuple(
        (a, 0.0, 1.0, g, d, r) for a, g, d, r in product((0.005, 0.05, 0.2), gammas, deltas, (0.0, 0.5, 0.85))
    )
    result.append(Family("double_seasonal", taylor, trended=False))
    if history.is_positive:
        result.append(Family("ets_log", winters, logs=True))
        result.append(Family("double_seasonal_log", taylor, logs=True, trended=False))
    return result


def _trends(betas: tuple[float, ...], phis: tuple[float, ...]) -> list[tuple[float, float]]:
    """Pairs of beta and phi; without a change of the trend one damping will do."""
    return [(b, p) for b in betas for p in (phis if b else phis[-1:])]


class SmoothingState:
    """The states of many parameter sets, and how they advance by a value."""

    def __init__(self, history: History, chosen: list[Family], begin: int) -> None:
        self.families = chosen
        self.parameters = np.array([s for family in chosen for s in family.sets]).T
        logs = np.repeat([family.logs for family in chosen], [len(family.sets) for family in chosen])
        y = history.values[begin:]
        both = np.stack((y, np.log(y))) if logs.any() else y[None]
        self.values = np.ascontiguousarray(both[logs.astype(int)].T)
        self.begin = begin
        usable = [s for s in history.seasons if 2 * s <= history.cut - begin][:2]
        self.seasons = [*usable, 1, 1][:2]
        self.states = [_beginning(row, self.seasons, len(usable)) for row in both]
        self.level, self.trend, self.short, self.long = (
            np.ascontiguousarray(np.stack([state[k] for state in self.states])[logs.astype(int)].T) for k in range(4)
        )
        trended = np.repeat([family.trended for family in chosen], [len(family.sets) for family in chosen])
        slopes = np.repeat([family.slope for family in chosen], [len(family.sets) for family in chosen])
        span = max(self.seasons)
        half = span * max(min(len(y) // span, _FIRST_CYCLES) // 2, 1) if usable else min(len(y) // 2, 8)
        self.level = np.where(trended, self.level, self.level + (self.trend - slopes) * half)
        self.trend = np.where(trended, self.trend, slopes)
        self.rest = np.zeros_like(self.level)
        self.judged = np.unique(np.linspace(0, history.horizon - 1, min(history.horizon, _JUDGED)).astype(np.int64))
        self.damped, self.faded = _powers(self.parameters[2], self.parameters[5], self.judged)

    def advance(self, first: int, end: int) -> None:
        """Take the values from index `first` up to `end`."""
        alpha, beta, phi, gamma, delta, rho = self.parameters
        rise = alpha * beta
        level, trend, rest, m, q = self.level, self.trend, self.rest, self.seasons[0], self.seasons[1]
        seasonal, double = bool(m > 1), bool(q > 1)
        error, part = np.empty_like(level), np.empty_like(level)
        multiply, add, subtract = np.multiply, np.add, np.subtract
        for t in range(first - self.begin, end - self.begin):
            multiply(trend, phi, trend)
            add(level, trend, level)
            subtract(self.values[t], level, error)
            if seasonal:
                s = self.short[t % m]
                subtract(error, s, error)
            if double:
                w = self.long[t % q]
                subtract(error, w, error)
            multiply(rest, rho, part)
            rest[:] = error
            subtract(error, part, error)
            add(level, multiply(error, alpha, part), level)
            add(trend, multiply(error, rise, part), trend)
            if seasonal:
                add(s, multiply(error, gamma, part), s)
            if double:
                add(w, multiply(error, delta, part), w)

    def forecast(self, origin: int, steps: Integers, sets: Integers | slice = _ALL) -> Floats:
        """The values of some parameter sets at steps after an origin (0: the value at the origin; steps x sets)."""
        phi, rho = self.parameters[2][sets], self.parameters[5][sets]
        if isinstance(sets, slice):
            damped, faded = self.damped, self.faded
        else:
            damped, faded = _powers(phi, rho, steps)
        at = origin - self.begin + steps
        made = self.level[sets] + damped * self.trend[sets] + faded * self.rest[sets]
        if self.seasons[0] > 1:
            made += self.short[at % self.seasons[0]][:, sets]
        if self.seasons[1] > 1:
            made += self.long[at % self.seasons[1]][:, sets]
        return np.asarray(made)


def _powers(phi: Floats, rho: Floats, steps: Integers) -> tuple[Floats, Floats]:
    """phi + phi^2 + ... + phi^(step + 1), and rho^(step + 1), for each step and set."""
    ahead = steps[:, None] + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        damped = np.where(phi < 1, phi * (1 - phi**ahead) / (1 - phi), ahead)
    return damped, rho**ahead


def _beginning(y: Floats, seasons: list[int], usable: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Level before the first value, trend, and both profiles of the first cycles."""
    m, q = seasons
    span = max(m, q) if usable else min(len(y) // 2, 8)
    cycles = max(min(len(y) // span, _FIRST_CYCLES) // 2, 1)
    first, second = y[: cycles * span], y[cycles * span : 2 * cycles * span]
    trend = (second.mean() - first.mean()) / (cycles * span) if len(second) == len(first) else 0.0
    flat = y[: 2 * cycles * span] - trend * np.arange(min(len(y), 2 * cycles * span))
    level = flat.mean()
    rest = flat - level
    short, long = np.zeros(m), np.zeros(q)
    if m > 1:
        short = season_profile(rest, m)
    if q > 1:
        long = season_profile(rest - short[np.arange(len(rest)) % m], q)
    return np.asarray(level - trend), np.asarray(trend), short, long


def smoothing(history: History, names: set[str] | None = None) -> list[Candidate]:
    """The forecasts of each family: at each origin the mean of the three sets that did best before it."""
    chosen = [f for f in families(history) if names is None or f.name.removesuffix("_log") in names]
    longest = max(history.seasons[:2], default=1)
    begin = max(0, history.cut - max(_STEPS, round(2.5 * longest)))
    state = SmoothingState(history, chosen, begin)
    ends = np.cumsum([len(family.sets) for family in chosen])
    selection = Selection(history, int(ends[-1]))
    warm = history.tuning[history.tuning >= begin + longest]
    made = np.empty((len(history.all_origins), len(chosen), history.horizon))
    position = begin
    for k, origin in enumerate((*warm.tolist(), *history.all_origins.tolist()), start=-len(warm)):
        state.advance(position, origin)
        position = origin
        if k >= 0:
            made[k] = _best(state, origin, selection.sums(origin), ends, history)
        if origin < len(history.values):
            errors = state.forecast(origin, state.judged) - state.values[origin - begin + state.judged]
            selection.add(origin, np.abs(errors).mean(axis=0))
    return [candidate(family.name, made[:, k]) for k, family in enumerate(chosen)]


def _best(state: SmoothingState, origin: int, errors: Floats, ends: Integers, history: History) -> Floats:
    """For each family, the mean forecast of its sets with the smallest errors (families x horizon)."""
    sizes = np.diff(ends, prepend=0)
    best = [
        end - size + np.argpartition(errors[end - size : end], _KEPT)[:_KEPT]
        for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)
    ]
    forecasts = state.forecast(origin, np.arange(history.horizon), np.concatenate(best))
    result = forecasts.reshape(history.horizon, len(ends), _KEPT)
    logs = [family.logs for family in state.families]
    if any(logs):
        result[:, logs] = exponential(result[:, logs], history.values)
    return np.asarray(result.mean(axis=2).T)
