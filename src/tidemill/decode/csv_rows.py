"""Where the rows of CSV are: a line feed in quotes ends no row, and a separator in quotes ends no value."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

_QUOTE, _LINE_FEED = b'"'[0], b"\n"[0]
STRAY_QUOTE: Final = "a quote in it is around no whole value; write such a quote twice, and the value in quotes"


class CsvRows(msgspec.Struct, frozen=True):
    """[start, end) of each row, the number of its columns, and whether it has a quote that is neither around a whole
    value nor written twice. `open`: the last quote is not closed."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]
    stray: NDArray[np.bool_]
    open: bool


def csv_bounds(body: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[start, end) of each row of CSV, without its line feed."""
    octets = np.frombuffer(body, np.uint8)
    ends = _outside(octets, octets == _LINE_FEED, quoted=b'"' in body)
    if not body.endswith(b"\n") or not len(ends) or ends[-1] != len(body) - 1:
        ends = np.append(ends, len(body))
    return np.concatenate([[0], ends[:-1] + 1]), ends


def csv_rows(body: bytes, mark: bytes) -> CsvRows:
    """The rows of CSV whose values are separated by the byte `mark`."""
    octets = np.frombuffer(body, np.uint8)
    starts, ends = csv_bounds(body)
    marks = _outside(octets, octets == mark[0], quoted=b'"' in body)
    counts = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    stray = np.zeros(len(ends), np.bool_)
    quotes = np.flatnonzero(octets == _QUOTE)
    around = np.frombuffer(mark + b'\n"', np.uint8)
    first, last = quotes[::2], quotes[1::2]
    wrong = first[(first > 0) & ~np.isin(octets[first - 1], around)]
    last = last[last < len(body) - 1]
    wrong = np.concatenate([wrong, last[~np.isin(octets[last + 1], around)]])
    stray[np.searchsorted(ends, wrong)] = True
    return CsvRows(starts, ends, counts, stray, len(quotes) % 2 == 1)


def _outside(octets: NDArray[np.uint8], wanted: NDArray[np.bool_], *, quoted: bool) -> NDArray[np.int64]:
    """Where bytes are `wanted` and in no quotes."""
    if quoted:
        wanted = wanted & ((np.cumsum(octets == _QUOTE, dtype=np.uint8) & 1) == 0)
    return np.flatnonzero(wanted)
