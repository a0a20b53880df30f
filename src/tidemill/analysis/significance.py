"""Tests of the difference of two samples whose observations depend on each other: t tests and rank tests with the
number of independent observations that they are worth."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidemill.analysis.autocorrelation import autocorrelation
from tidemill.analysis.moments import mean_of

Floats = NDArray[np.float64]


class Sample(msgspec.Struct, frozen=True):
    """Observations (none NaN) in order of time, and how many independent ones they are worth for their mean."""

    values: Floats
    effective: float


class Difference(msgspec.Struct, frozen=True):
    """A difference of means with its bounds, t (null: no variance), degrees of freedom and p value of no difference."""

    difference: float
    lower: float
    upper: float
    t: float | None
    degrees: float
    p_value: float


class RankDifference(msgspec.Struct, frozen=True):
    """The probability that the second is the larger one (ties: half), and the p value of it being one half."""

    probability: float
    p_value: float


def sample_of(values: Floats) -> Sample:
    """The sample of observations: n / (1 + 2 sum r_k) are independent, at most n.

    The autocorrelations are summed while r_2k + r_2k+1 is positive: the initial positive sequence of Geyer (1992),
    "Practical Markov chain Monte Carlo", Statistical Science 7(4), section 3.3.
    """
    n = len(values)
    acf = autocorrelation(values, n - 1) if n > 3 else np.full(1, math.nan)
    if math.isnan(acf[0]):
        return Sample(values, float(n))
    pairs = acf[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0)
    total = float(pairs[: negative[0] if len(negative) else len(pairs)].sum())
    return Sample(values, n / max(2 * total - 1, 1.0))


def welch(first: Sample, second: Sample, level: float) -> Difference | None:
    """The mean of the second minus that of the first: Welch (1947), "The generalization of Student's problem", with
    effective numbers of observations; None where one of them is below 2."""
    if min(first.effective, second.effective) < 2:
        return None
    difference = mean_of(second.values) - mean_of(first.values)
    parts = [_variance(sample) / sample.effective for sample in (first, second)]
    freedoms = [sample.effective - 1 for sample in (first, second)]
    spread = sum((part * part / free for part, free in zip(parts, freedoms, strict=True)), 0.0)
    degrees = sum(parts) ** 2 / spread if spread > 0 else sum(freedoms)
    return _difference(difference, math.sqrt(sum(parts)), degrees, level)


def paired(differences: Sample, level: float) -> Difference | None:
    """The mean of differences of pairs: Student's t; None for fewer than two effective ones."""
    if differences.effective < 2:
        return None
    error = math.sqrt(_variance(differences) / differences.effective)
    return _difference(mean_of(differences.values), error, differences.effective - 1, level)


def _variance(sample: Sample) -> float:
    """The variance, unbiased for observations that depend on each other: sum of squares / n / (1 - 1 / effective)."""
    return float(sample.values.var()) / (1 - 1 / sample.effective)


def _difference(difference: float, error: float, degrees: float, level: float) -> Difference:
    if not error > 0:
        return Difference(difference, difference, difference, None, degrees, 1.0 if difference == 0 else 0.0)
    t = difference / error
    half = float(special.stdtrit(degrees, (1 + level) / 2)) * error
    p_value = float(2 * special.stdtr(degrees, -abs(t)))
    return Difference(difference, difference - half, difference + half, t, degrees, p_value)


def mann_whitney(first: Sample, second: Sample) -> RankDifference | None:
    """Mann and Whitney (1947), without a correction for continuity, with ties; its variance is that of the effective
    numbers of observations. None where one of them is below 2."""
    n, m = len(first.values), len(second.values)
    if min(first.effective, second.effective) < 2:
        return None
    ranks, ties = _ranks(np.concatenate((first.values, second.values)))
    probability = (float(ranks[n:].sum()) - m * (m + 1) / 2) / (n * m)
    total = n + m
    share = 1 - ties / (total**3 - total)
    e, f = first.effective, second.effective
    return _rank_difference(probability, (e + f + 1) * share / (12 * e * f), probability - 0.5)


def wilcoxon(differences: Sample) -> RankDifference | None:
    """Wilcoxon's signed ranks (1945) of the differences that are not 0, without a correction for continuity, with ties;
    the variance is that of the effective number. None for fewer than two effective ones."""
    if differences.effective < 2:
        return None
    values = differences.values
    other = values[values != 0]
    n = len(other)
    ranks, ties = _ranks(np.abs(other))
    excess = float(ranks[other > 0].sum()) - n * (n + 1) / 4
    variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48
    probability = float(np.mean(values > 0) + 0.5 * np.mean(values == 0))
    return _rank_difference(probability, variance * len(values) / differences.effective, excess)


def _rank_difference(probability: float, variance: float, excess: float) -> RankDifference:
    p_value = float(2 * special.ndtr(-abs(excess) / math.sqrt(variance))) if variance > 0 else 1.0
    return RankDifference(probability, min(p_value, 1.0))


def _ranks(values: Floats) -> tuple[Floats, float]:
    """Ranks from 1, those of ties averaged, and the sum of t^3 - t over groups of t ties."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = last - (counts - 1) / 2
    return ranks[inverse], float((counts.astype(np.float64) ** 3 - counts).sum())
