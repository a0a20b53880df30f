"""Scores of a back-test: mean absolute error, MASE and sMAPE of each model, and the ratio to the best naive one."""

from collections.abc import Sequence

import numpy as np

from tidemill.analysis.forecast.answer import ModelScore
from tidemill.analysis.forecast.candidate import Candidate, mean_error
from tidemill.analysis.forecast.combine import NAIVE
from tidemill.analysis.forecast.history import History
from tidemill.analysis.steps import Floats


def scores(history: History, candidates: Sequence[Candidate], exponent: int, offset: float) -> tuple[ModelScore, ...]:
    """The score of each candidate, in the given order; errors are scaled back by 2 ** `exponent`."""
    truth = history.truth(history.origins)
    unit = naive_error(history)
    shift = float(np.ldexp(offset, -exponent))
    result = []
    for candidate in candidates:
        mae = mean_error(candidate.back_test, truth)
        result.append(
            ModelScore(
                candidate.name,
                float(np.ldexp(mae, exponent)),
                mae / unit if unit > 0 else None,
                _smape(candidate.back_test + shift, truth + shift),
            )
        )
    return tuple(result)


def naive_error(history: History) -> float:
    """The mean absolute error of the seasonal naive on the history before the back-test, in scaled units."""
    season = min(history.season, max(history.cut - 1, 1))
    known = history.values[: history.cut]
    return float(np.abs(known[season:] - known[:-season]).mean())


def best_naive(candidates: Sequence[Candidate], truth: Floats) -> Candidate:
    """The naive candidate with the smallest error. `candidates` have at least one."""
    return min(
        (c for c in candidates if c.name.startswith(NAIVE)),
        key=lambda c: np.nan_to_num(mean_error(c.back_test, truth), nan=np.inf),
    )


def ratio_to_naive(result: Candidate, candidates: Sequence[Candidate], truth: Floats) -> float | None:
    """The error of the answer over that of the better of naive and seasonal naive; None where that is 0."""
    errors = [mean_error(c.back_test, truth) for c in candidates if c.name.startswith(NAIVE)]
    best = min(errors, default=0.0)
    return mean_error(result.back_test, truth) / best if best > 0 else None


def _smape(forecasts: Floats, truth: Floats) -> float:
    known = ~np.isnan(truth)
    errors, size = np.abs(forecasts - truth)[known], (np.abs(forecasts) + np.abs(truth))[known]
    return float(np.mean(2 * errors / np.where(size > 0, size, 1))) if len(errors) else 0.0
