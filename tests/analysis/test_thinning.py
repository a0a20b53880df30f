"""Largest triangles: the shape of a series in few of its points, and its extremes among them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.analysis.thinning import largest_triangles


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=200),
    st.integers(4, 60),
    st.lists(st.integers(0, 10**12), min_size=200, max_size=200),
)
def test_as_many_points_as_wanted_with_both_ends_and_both_extremes(
    values: list[float], count: int, steps: list[int]
) -> None:
    y, x = np.array(values), np.cumsum(np.array(steps[: len(values)], dtype=np.int64))
    chosen = largest_triangles(x, y, count)
    assert len(chosen) == min(count, len(values))
    assert (np.diff(chosen) > 0).all()
    assert {0, len(values) - 1} <= set(chosen.tolist())
    assert {y.min(), y.max()} <= set(y[chosen].tolist())


def test_the_points_are_those_of_the_published_definition() -> None:
    """Against the definition, written out: on a curve whose extremes are chosen anyway."""
    x = np.arange(1000, dtype=np.int64) * 10**9
    y = np.sin(np.arange(1000) / 31) * np.exp(np.arange(1000) / 500) + np.arange(1000) % 7 / 50
    y[250], y[500] = -20.0, 20.0
    count = 50
    chosen = [0]
    edges = [int(1 + n * 998 / (count - 2)) for n in range(count - 1)]
    for n in range(count - 2):
        begin, end = edges[n], edges[n + 1]
        after = slice(end, edges[n + 2]) if n + 2 < len(edges) else slice(999, 1000)
        corner = (x[after].mean(), y[after].mean())
        last = (x[chosen[-1]], y[chosen[-1]])
        areas = [
            abs((last[0] - corner[0]) * (y[i] - last[1]) - (last[0] - x[i]) * (corner[1] - last[1]))
            for i in range(begin, end)
        ]
        chosen.append(begin + int(np.argmax(areas)))
    chosen.append(999)
    assert {int(y.argmin()), int(y.argmax())} <= set(chosen), "the definition loses none of them here"
    assert largest_triangles(x, y, count).tolist() == chosen


@pytest.mark.parametrize("count", [3, 10])
def test_few_points_are_all_kept(count: int) -> None:
    assert largest_triangles(np.arange(3), np.array([1.0, 5.0, 2.0]), count).tolist() == [0, 1, 2]
