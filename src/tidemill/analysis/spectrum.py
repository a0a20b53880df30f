"""Frequency domain of evenly sampled values: power spectral density by Welch's method, peaks, centroid, bands.

Units, for values in U: density U^2/Hz (its integral is the variance), amplitudes U, frequencies Hz.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import signal

Floats = NDArray[np.float64]

DEFAULT_SEGMENT: Final = 8192
WINDOWS: Final = ("hann", "hamming", "blackman", "flattop", "boxcar")


class Peak(msgspec.Struct, frozen=True):
    """A line of the spectrum: `frequency` in Hz, and the `amplitude` of the sine that makes it."""

    frequency: float
    amplitude: float


class Band(msgspec.Struct, frozen=True):
    """The part of the variance between two frequencies in Hz: `power` (U^2), and its `share` of the whole (0 to 1)."""

    low: float
    high: float
    power: float
    share: float | None


class Spectrum(msgspec.Struct, frozen=True, kw_only=True):
    """A spectrum. `frequencies` (Hz) and `density` (U^2/Hz) have the same length; `resolution` is their distance.

    `dominant` is the strongest peak (null: no variance); `peaks` are the strongest, largest amplitude first;
    `centroid` is the mean frequency, weighted by density (null: no variance). `segments` of `segment` values overlap by
    half. `count` is of present values; `missing` ones were interpolated.
    """

    count: int
    missing: int
    sampling_hz: float
    window: str
    segment: int
    segments: int
    resolution: float
    dominant: Peak | None
    peaks: list[Peak]
    centroid: float | None
    bands: list[Band]
    frequencies: list[float]
    density: list[float]


def spectrum(
    values: Floats,
    sampling_hz: float,
    *,
    window: str = "hann",
    segment: int = DEFAULT_SEGMENT,
    bands: Sequence[tuple[float, float]] = (),
    peaks: int = 5,
) -> Spectrum:
    """The spectrum of at least two evenly sampled `values` (float64; NaN: missing), `sampling_hz` of them a second.

    Welch (1967), "The use of fast Fourier transform for the estimation of power spectra", IEEE Trans. AU-15(2), on
    segments without their mean. A line between two frequencies reads up to 13 % low with a Hann window, so amplitudes
    are read with a flat-top window: A = sqrt(2 P), P the power of the line. The frequency of a peak is
    interpolated by a parabola through the logarithms of three lines. Bands are trapezoids of the density.
    """
    missing = np.isnan(values)
    exponent = _scale_exponent(values[~missing])
    scaled = np.ldexp(_interpolated(values, missing), -exponent)
    length = min(segment, len(scaled))
    frequencies, density = signal.welch(scaled, sampling_hz, window=window, nperseg=length, detrend="constant")
    lines = _Lines(frequencies, density, exponent)
    strongest = _strongest(lines, _flat_top(scaled, sampling_hz, length), peaks)
    weight = float(density.sum())
    return Spectrum(
        count=int((~missing).sum()),
        missing=int(missing.sum()),
        sampling_hz=sampling_hz,
        window=window,
        segment=length,
        segments=max(1, (len(scaled) - length // 2) // max(length - length // 2, 1)),
        resolution=sampling_hz / length,
        dominant=strongest[0] if strongest else None,
        peaks=strongest,
        centroid=float(frequencies @ density) / weight if weight > 0 else None,
        bands=[_band(lines, low, high) for low, high in bands],
        frequencies=frequencies.tolist(),
        density=[_scaled_back(number, 2 * exponent) for number in density.tolist()],
    )


class _Lines(msgspec.Struct, frozen=True):
    """The lines of a density whose values were scaled by 2 ** -`exponent` first."""

    frequencies: Floats
    density: Floats
    exponent: int


def _scale_exponent(present: Floats) -> int:
    """The exponent of two of the largest magnitude, so that squares neither overflow nor vanish."""
    return math.frexp(float(np.abs(present).max()))[1] if len(present) else 0


def _scaled_back(number: float, exponent: int) -> float:
    """`number` times 2 ** `exponent`, at most the largest double."""
    try:
        return math.ldexp(number, exponent)
    except OverflowError:
        return math.copysign(float(np.finfo(np.float64).max), number)


def _interpolated(values: Floats, missing: NDArray[np.bool_]) -> Floats:
    """The values, with a straight line through each gap; zeros for a constant, whose rounding has no spectrum."""
    present = values[~missing]
    if not len(present) or present.min() == present.max():
        return np.zeros_like(values)
    if not missing.any():
        return values
    at = np.arange(len(values))
    return np.interp(at, at[~missing], present)


def _flat_top(values: Floats, sampling_hz: float, length: int) -> Floats:
    """The power of each line (U^2), right for a sine of any frequency, by a flat-top window."""
    scaling = {"detrend": "constant", "scaling": "spectrum"}
    return np.asarray(signal.welch(values, sampling_hz, window="flattop", nperseg=length, **scaling)[1])


def _strongest(lines: _Lines, power: Floats, count: int) -> list[Peak]:
    """The strongest local maxima of the density, without frequency 0, largest amplitude first."""
    inner = lines.density[1:]
    padded = np.concatenate(([0.0], inner, [0.0]))
    tops = 1 + np.flatnonzero((inner > padded[:-2]) & (inner >= padded[2:]))
    tops = tops[np.argsort(lines.density[tops])[::-1][:count]]
    strongest = [
        Peak(
            _refined(lines, top),
            _scaled_back(math.sqrt(2 * float(power[max(top - 2, 1) : top + 3].max())), lines.exponent),
        )
        for top in tops.tolist()
    ]
    return sorted(strongest, key=lambda peak: -peak.amplitude)


def _refined(lines: _Lines, top: int) -> float:
    """The frequency of a maximum, by a parabola through the logarithms of it and its neighbours."""
    frequencies, density = lines.frequencies, lines.density
    if top + 1 >= len(density) or not (density[top - 1] > 0 and density[top + 1] > 0):
        return float(frequencies[top])
    before, at, after = np.log(density[top - 1 : top + 2])
    bend = before - 2 * at + after
    offset = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(frequencies[top] + np.clip(offset, -0.5, 0.5) * frequencies[1])


def _band(lines: _Lines, low: float, high: float) -> Band:
    """The power between `low` and `high`: the trapezoid of the density, which is interpolated at both ends."""
    frequencies, density = lines.frequencies, lines.density
    inside = (frequencies > low) & (frequencies < high)
    edges = np.clip([low, high], frequencies[0], frequencies[-1])
    ends = np.interp(edges, frequencies, density)
    x = np.concatenate((edges[:1], frequencies[inside], edges[1:]))
    y = np.concatenate((ends[:1], density[inside], ends[1:]))
    power, total = float(np.trapezoid(y, x)), float(np.trapezoid(density, frequencies))
    return Band(low, high, _scaled_back(power, 2 * lines.exponent), power / total if total > 0 else None)
