"""Changes of level against the Nile, steps in noise of known autocorrelation, and every partition of short series."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy import signal

from tidemill.analysis.change_points import _segment_edges, change_points
from tidemill.errors import NotEnoughPointsError

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
# Annual flow of the Nile at Aswan, 1871 to 1970, in 10^8 m^3: Cobb (1978), Biometrika 65(2).
NILE = """1120 1160 963 1210 1160 1160 813 1230 1370 1140 995 935 1110 994 1020 960 1180 799 958 1140 1100 1210 1150
1250 1260 1220 1030 1100 774 840 874 694 940 833 701 916 692 1020 1050 969 831 726 456 824 702 1120 1100 832
764 821 768 845 864 862 698 845 744 796 1040 759 781 865 845 944 984 897 822 1010 771 676 649 846 812 742 801
1040 860 874 848 890 744 749 838 1050 918 986 797 923 975 815 1020 906 901 1170 912 746 919 718 714 740"""


def hours(n: int, step_ns: int = HOUR_NS) -> np.ndarray:
    return 1_700_006_400 * 10**9 + np.arange(n) * step_ns


def autoregressive(phi: float, seed: int, n: int = 3_000) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=n + 500)
    return signal.lfilter([1], [1, -phi], noise)[500:]


def test_the_nile_changes_once_after_28_years() -> None:
    values = np.array([float(text) for text in NILE.split()])
    years = np.arange("1871", "1971", dtype="datetime64[Y]").astype("datetime64[ns]").astype(np.int64)
    found = change_points(years, values)
    assert [change.index for change in found.changes] == [28]
    change = found.changes[0]
    assert (change.before, change.after) == pytest.approx((1097.75, 849.9722), abs=1e-4)
    assert str(np.datetime64(change.at_ns, "ns"))[:4] == "1899"
    assert [segment.count for segment in found.segments] == [28, 72]


@pytest.mark.parametrize(("phi", "most"), [(0.0, 0), (0.7, 0), (0.95, 1)])
def test_waves_of_noise_are_no_changes(phi: float, most: int) -> None:
    changes = [len(change_points(hours(3_000), autoregressive(phi, seed)).changes) for seed in range(6)]
    assert sum(changes) <= most


@pytest.mark.parametrize(("phi", "least"), [(0.0, 6), (0.7, 6), (0.95, 5)])
def test_a_step_of_two_standard_deviations_stands_alone(phi: float, least: int) -> None:
    alone = 0
    for seed in range(6):
        values = autoregressive(phi, seed)
        values[1400:] += 2 * values.std()
        found = change_points(hours(3_000), values)
        alone += [abs(change.index - 1400) < 60 for change in found.changes] == [True]
    assert alone >= least


def test_seasons_are_no_changes_and_do_not_hide_one() -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, 96 * 30)
    values = 5 + 3 * np.sin(2 * np.pi * np.arange(96 * 30) / 96) + noise
    values[2_000:] += 0.5
    found = change_points(hours(len(values), HOUR_NS // 4), values)
    assert [period.name for period in found.periods] == ["day"]
    assert len(found.changes) == 1
    assert found.changes[0].index == pytest.approx(2_000, abs=8)


def test_a_steady_trend_is_said_and_is_no_change() -> None:
    values = np.arange(1_000) * 0.1 + np.random.default_rng(1).normal(size=1_000)
    found = change_points(hours(1_000), values)
    assert found.changes == []
    assert "by 2.4 a day" in found.notes[0]


def test_missing_values_and_uneven_times() -> None:
    generator = np.random.default_rng(3)
    times = np.sort(generator.integers(0, 10**15, 800))
    values = np.where(np.arange(800) < 300, 1.0, 4.0) + generator.normal(0, 0.5, 800)
    values[::7] = math.nan
    found = change_points(times, values)
    assert found.interval is None
    assert (found.count, found.missing) == (685, 115)
    assert [change.at_ns for change in found.changes] == pytest.approx([times[301]], abs=int(times[305] - times[300]))


@pytest.mark.parametrize("factor", [1e300, 1e-300, 1.0])
def test_huge_and_tiny_values(factor: float) -> None:
    values = np.where(np.arange(200) < 90, 1.0, 3.0) + np.random.default_rng(1).normal(0, 0.2, 200)
    found = change_points(hours(200), values * factor)
    assert [change.index for change in found.changes] == [90]
    assert found.changes[0].difference == pytest.approx(2 * factor, rel=0.1)


def test_levels_without_noise_change_where_they_do() -> None:
    values = np.repeat([20.0, 18.0, 21.0], [100, 60, 90])
    found = change_points(hours(250), values)
    assert [change.index for change in found.changes] == [100, 160]
    assert [segment.mean for segment in found.segments] == pytest.approx([20, 18, 21])


def test_rare_single_values_are_no_changes() -> None:
    values = (np.random.default_rng(2).random(1_000) < 0.01).astype(float)
    assert change_points(hours(1_000), values).changes == []


def test_a_constant_never_changes_and_few_values_say_how_many_are_needed() -> None:
    found = change_points(hours(50), np.full(50, 7.0))
    assert (found.changes, found.noise, len(found.segments)) == ([], None, 1)
    with pytest.raises(NotEnoughPointsError, match="at least 10 values; there are 9"):
        change_points(hours(9), np.arange(9.0))


@pytest.mark.parametrize("seed", range(6))
def test_the_partition_is_the_best_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=18) + np.repeat(generator.normal(0, 2, 3), 6)
    penalty = 2.0

    def cost(edges: tuple[int, ...]) -> float:
        return sum(float(((x[a:b] - x[a:b].mean()) ** 2).sum()) + penalty for a, b in pairwise(edges))

    every = [(0, *inner, 18) for k in range(4) for inner in combinations(range(5, 14), k)]
    valid = [edges for edges in every if min(np.diff(edges)) >= 5]
    assert _segment_edges(x, penalty) == list(min(valid, key=cost))
