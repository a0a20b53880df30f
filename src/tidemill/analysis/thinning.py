"""Chooses some points of a series that show its shape."""

import numpy as np
from numpy.typing import NDArray


def largest_triangles(times: NDArray[np.int64], values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The indexes, ascending, of `count` points (3 or more) by Largest Triangle Three Buckets: the first, the last, and
    of each bucket the point with the largest triangle to the point chosen before it and to the mean of the next bucket.
    All of them where there are no more than `count`. The smallest and the largest value (of several the first) are
    always among them: each is chosen in its bucket, or takes the place of the first or last of the points between.

    `times` ascend (ns); no value is NaN. Source: Steinarsson (2013), Downsampling Time Series for Visual
    Representation, 4.2.
    """
    size = len(times)
    if size <= count:
        return np.arange(size)
    forced = {int(values.argmin()), int(values.argmax())}
    x = (times - times[0]).astype(np.float64)
    y = values / max(float(np.abs(values).max()), np.finfo(np.float64).tiny)  # areas of huge values stay finite
    edges = np.linspace(1, size - 1, count - 1).astype(np.int64)
    starts, ends = edges[:-1], edges[1:]
    sums_x, sums_y = np.append(0.0, x.cumsum()), np.append(0.0, y.cumsum())
    next_ends = np.append(ends[1:], size)
    lengths = next_ends - ends
    mean_x, mean_y = (sums_x[next_ends] - sums_x[ends]) / lengths, (sums_y[next_ends] - sums_y[ends]) / lengths
    chosen, last = [0], 0
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        inside = sorted(index for index in forced if start <= index < end)
        if inside:
            chosen += inside
        else:
            near_x, near_y = x[start:end], y[start:end]
            across = (x[last] - mean_x[number]) * (near_y - y[last]) - (x[last] - near_x) * (mean_y[number] - y[last])
            chosen.append(start + int(np.abs(across).argmax()))
        last = chosen[-1]
    chosen.append(size - 1)
    return _shortened(np.array(chosen), forced, count)


def _shortened(chosen: NDArray[np.int64], forced: set[int], count: int) -> NDArray[np.int64]:
    """`count` of the chosen: where two forced points were in one bucket, another point gives way."""
    kept = chosen.tolist()
    for index in reversed(chosen.tolist()[1:-1]):
        if len(kept) > count and index not in forced:
            kept.remove(index)
    return np.array(kept)
