"""The Fourier transform of values at uneven times: sums over points at evenly spaced frequencies, by gridding and FFT.

The package nifty-ls does the same and has no wheels for aarch64 (docs/decisions/0040).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_WIDTH: Final = 16  # grid cells that a point is spread over
_SHAPE: Final = 2.3 * _WIDTH  # of the kernel, for a grid of twice the frequencies
_QUADRATURE: Final = 64


def fourier_sums(phases: Floats, weights: Floats, count: int) -> Complexes:
    """sum over points of weight x exp(2 pi i k phase) for k = 0 to `count` - 1, within 1e-12 of the sum of |weights|.

    `phases` are in [0, 1), in cycles of k = 1. Each point is spread over 16 cells of a grid of at least twice `count`
    by the kernel exp(beta sqrt(1 - z^2)), whose transform is divided out: a nonuniform transform of type 1 as in
    Barnett, Magland and af Klinteberg (2019), "A parallel nonuniform fast Fourier transform library based on an
    `exponential of semicircle` kernel", SIAM J. Sci. Comput. 41(5).
    """
    size = fft.next_fast_len(max(4 * count, 2 * _WIDTH), real=True)
    position = phases * size
    first = np.ceil(position - _WIDTH / 2).astype(np.int64)
    grid = np.zeros(size)
    for cell in range(_WIDTH):
        at = first + cell
        grid += np.bincount(at % size, weights * _kernel((at - position) * (2 / _WIDTH)), size)
    sums = np.conj(fft.rfft(grid)[:count])
    return np.asarray(sums / _transform(np.arange(count) / size))


def _kernel(z: Floats) -> Floats:
    """The kernel, 1 at 0, for -1 <= z <= 1."""
    return np.asarray(np.exp(_SHAPE * (np.sqrt(np.maximum(1 - z * z, 0)) - 1)))


def _transform(frequencies: Floats) -> Floats:
    """The Fourier transform of the kernel at frequencies in cycles a grid cell, by Gauss and Legendre's quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE)
    transform = np.zeros(len(frequencies))
    for node, weight in zip(nodes[nodes > 0], weights[nodes > 0], strict=True):
        transform += weight * float(_kernel(node)) * np.cos((np.pi * _WIDTH * node) * frequencies)
    return np.asarray(_WIDTH * transform)
