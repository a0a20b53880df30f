"""Chooses models by their back-test and weighs them: the five best, or one naive model where they gain too little.

The weights minimise the mean square error of the weighted mean on the simplex, drawn halfway to 1 / MAE^4: Bates and
Granger (1969), "The Combination of Forecasts", Operational Research Quarterly 20(4).
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import msgspec
import numpy as np

from tidemill.analysis.forecast.candidate import Candidate, mean_error
from tidemill.analysis.forecast.steps import Floats

NAIVE: Final = ("naive", "seasonal_naive")  # and the seasonal naive of any other period
BEST: Final = 5
_POWER: Final = 4
_GUARD: Final = 0.97  # of the error of the best naive model is what the weighted mean must stay below
_EXACT: Final = 1e-9  # of the range: below it, one model is exact and weights would divide 0 by 0


class Combination(msgspec.Struct, frozen=True):
    """The chosen candidates with their weights (sum 1), and their weighted mean."""

    chosen: tuple[Candidate, ...]
    weights: tuple[float, ...]
    result: Candidate


def combine(candidates: Sequence[Candidate], truth: Floats, spread: float, *, guarded: bool) -> Combination:
    """The combination for candidates (at least one), judged by `truth` (origins x horizon, NaN: not measured).

    `spread` is the range of the history. `guarded`: a naive candidate answers alone unless the others gain 3 % on it.
    """
    errors = [mean_error(c.back_test, truth) for c in candidates]
    order = sorted(range(len(candidates)), key=lambda k: errors[k])
    if errors[order[0]] <= _EXACT * spread or len(candidates) == 1:
        return single(candidates[order[0]])
    usable = [k for k in order[:BEST] if np.isfinite(errors[k])]
    if not usable:
        return single(candidates[0])
    weights = _weights([candidates[k] for k in usable], [errors[k] for k in usable], truth)
    kept = [(candidates[k], float(w)) for k, w in zip(usable, weights, strict=True) if w > 1e-3]
    total = sum(w for _, w in kept)
    mixed = Combination(tuple(c for c, _ in kept), tuple(w / total for _, w in kept), _mean(kept, total))
    naive = [k for k in order if candidates[k].name.startswith(NAIVE)]
    if guarded and naive and mean_error(mixed.result.back_test, truth) > _GUARD * errors[naive[0]]:
        return single(candidates[naive[0]])
    return mixed


def single(chosen: Candidate) -> Combination:
    """One candidate alone."""
    return Combination((chosen,), (1.0,), chosen)


def _mean(kept: Sequence[tuple[Candidate, float]], total: float) -> Candidate:
    tests = sum((c.back_test * (w / total) for c, w in kept), np.zeros_like(kept[0][0].back_test))
    ends = sum((c.forecast * (w / total) for c, w in kept), np.zeros_like(kept[0][0].forecast))
    return Candidate("auto", tests, ends)


def _weights(candidates: Sequence[Candidate], errors: Sequence[float], truth: Floats) -> Floats:
    """Weights of candidates, ascending by their errors (all above 0)."""
    inverse = (errors[0] / np.array(errors)) ** _POWER
    inverse /= inverse.sum()
    residuals = np.stack([(c.back_test - truth)[~np.isnan(truth)] for c in candidates])
    products = residuals @ residuals.T / residuals.shape[1]
    return np.asarray((inverse + _least_squares(products)) / 2)


def _least_squares(products: Floats) -> Floats:
    """The weights on the simplex that minimise w' P w: of every subset, the one whose weights are all positive is tried.

    For a subset the minimum with sum 1 is P^-1 1 / (1' P^-1 1). At most 31 subsets of five.
    """
    count = len(products)
    best, chosen = np.inf, np.eye(1, count)[0]
    ridge = products + np.eye(count) * max(float(np.trace(products)) / count, 1e-300) * 1e-6
    for size in range(1, count + 1):
        for subset in combinations(range(count), size):
            part = np.linalg.solve(ridge[np.ix_(subset, subset)], np.ones(size))
            if part.min() < 0 or not part.sum() > 0:
                continue
            part /= part.sum()
            value = float(part @ products[np.ix_(subset, subset)] @ part)
            if value < best:
                best, chosen = value, np.zeros(count)
                chosen[list(subset)] = part
    return chosen
