"""Chooses models by their back-test and weighs them: the seven best, or one naive model where they gain too little.

The weights minimise the mean absolute error of the weighted mean on the simplex (by reweighted least squares), drawn a
quarter of the way to 1 / MAE^4: after Bates and Granger (1969), "The Combination of Forecasts", Operational Research
Quarterly 20(4), whose weights minimise the mean square; users and MASE want medians.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from tidemill.analysis.forecast.candidate import MIXED, Candidate, mean_error
from tidemill.analysis.forecast.steps import Floats

NAIVE: Final = ("naive", "seasonal_naive")  # and the seasonal naive of any other period
BEST: Final = 7
_POWER: Final = 4
_ROUNDS: Final = 3
_LEARNED: Final = 0.75
_LEAST: Final = 0.01
_INSURED: Final = 0.25  # of the weight, over the number of windows, is the naive model's: few windows may mislead
_GUARD: Final = 0.04  # of the error of the best naive model must be gained on it
_DOUBT: Final = 0.9  # of the gain's standard error must be gained, too: else 18 of 40 random walks are not called naive
_EXACT: Final = 1e-9  # of the range: below it, one model is exact and weights would divide 0 by 0


class Combination(msgspec.Struct, frozen=True):
    """The chosen candidates with their weights (sum 1), and their weighted mean."""

    chosen: tuple[Candidate, ...]
    weights: tuple[float, ...]
    result: Candidate


def combine(
    candidates: Sequence[Candidate], truth: Floats, spread: float, windows: float, *, guarded: bool
) -> Combination:
    """The combination for candidates (at least one), judged by `truth` (origins x horizon, NaN: not measured).

    `spread` is the range of the history, `windows` how many of the back-test do not overlap. Of exact candidates the
    first answers. `guarded`: a naive candidate answers alone unless the others clearly gain on it.
    """
    errors = [mean_error(c.back_test, truth) for c in candidates]
    order = sorted(range(len(candidates)), key=lambda k: errors[k])
    exact = [k for k in range(len(candidates)) if errors[k] <= _EXACT * spread]
    if exact or len(candidates) == 1:
        return single(candidates[(exact or order)[0]])
    usable = [k for k in order[:BEST] if np.isfinite(errors[k])]
    if not usable:
        return single(candidates[0])
    learned = _weights([candidates[k] for k in usable], [errors[k] for k in usable], truth)
    weights = dict(zip(usable, learned.tolist(), strict=True))
    naive = [k for k in order if candidates[k].name.startswith(NAIVE) and np.isfinite(errors[k])]
    if not guarded or not naive:
        return _mixed(candidates, weights)
    if not _gains(_mixed(candidates, weights).result, candidates[naive[0]], truth, windows):
        return single(candidates[naive[0]])
    insured = min(_INSURED / windows, 1.0)
    shared = {k: (1 - insured) * weight for k, weight in weights.items()}
    return _mixed(candidates, {**shared, naive[0]: shared.get(naive[0], 0.0) + insured})


def _gains(mixed: Candidate, naive: Candidate, truth: Floats, windows: float) -> bool:
    """Whether the error of the naive candidate is clearly larger: by 4 %, and by 0.9 of the gain's standard error.

    Weights are fitted to the back-test, and gain a little on a random walk, too. Windows that overlap count once.
    """
    known = ~np.isnan(truth)
    counts = known.sum(axis=1)
    usable = counts > 0
    naive_errors, errors = (
        np.where(known, np.abs(c.back_test - truth), 0).sum(axis=1)[usable] / counts[usable] for c in (naive, mixed)
    )
    gains = naive_errors - errors
    least = max(_GUARD * float(naive_errors.mean()), _DOUBT * float(gains.std()) / windows**0.5)
    return bool(gains.mean() >= least)


def single(chosen: Candidate) -> Combination:
    """One candidate alone."""
    return Combination((chosen,), (1.0,), chosen)


def _mixed(candidates: Sequence[Candidate], weights: dict[int, float]) -> Combination:
    """The weighted mean of candidates, the heaviest first; weights below a percent are dropped."""
    kept = sorted(((w, k) for k, w in weights.items() if w >= _LEAST), reverse=True)
    total = sum(w for w, _ in kept)
    chosen = tuple(candidates[k] for _, k in kept)
    shares = tuple(w / total for w, _ in kept)
    tests = np.sum([share * c.back_test for share, c in zip(shares, chosen, strict=True)], axis=0)
    ends = np.sum([share * c.forecast for share, c in zip(shares, chosen, strict=True)], axis=0)
    return Combination(chosen, shares, Candidate(MIXED, tests, ends))


def _weights(candidates: Sequence[Candidate], errors: Sequence[float], truth: Floats) -> Floats:
    """Weights of candidates, ascending by their errors (all above 0)."""
    inverse = (errors[0] / np.array(errors)) ** _POWER
    inverse /= inverse.sum()
    residuals = np.stack([(c.back_test - truth)[~np.isnan(truth)] for c in candidates])
    weights = inverse
    for _ in range(_ROUNDS):
        size = np.abs(weights @ residuals)
        scaled = residuals / np.maximum(size, max(float(np.median(size)) / 3, 1e-300))
        weights = _least_squares(scaled @ residuals.T / residuals.shape[1])
    return np.asarray(inverse + _LEARNED * (weights - inverse))


def _least_squares(products: Floats) -> Floats:
    """Weights on the simplex that make w' P w small: the minimum with sum 1 is P^-1 1 / (1' P^-1 1).

    As long as a weight is negative, the most negative one is dropped.
    """
    count = len(products)
    ridge = products + np.eye(count) * max(float(np.trace(products)) / count, 1e-300) * 1e-6
    kept = np.arange(count)
    while True:
        part = np.linalg.solve(ridge[np.ix_(kept, kept)], np.ones(len(kept)))
        part /= part.sum() if part.sum() > 0 else -1.0
        if len(kept) == 1 or part.min() >= 0:
            break
        kept = np.delete(kept, int(np.argmin(part)))
    weights = np.zeros(count)
    weights[kept] = np.abs(part)
    return np.asarray(weights / weights.sum())
