"""Writes the JSON document of a whole series while the store still reads it.

The document has all values before all times, and the store gives them side by side. So the values of each piece go out
at once, and its times are kept, 8 bytes a sample, until the values have ended. Both come from one statement: two
statements could see different points.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from tidemill.model.time import format_instant
from tidemill.query.instants import format_instants

SAMPLE: Final = np.dtype([("value", "<f8"), ("ns", "<i8")])  # a row of the query `series_samples` as RowBinary
PIECE_SAMPLES: Final = 65_536  # most samples that become text at once


def samples_document(head: dict[str, Any], stream: Iterable[bytes]) -> Iterator[bytes]:
    """One JSON object: the members of `head`, then `values` (NaN becomes null) and `times` (RFC 3339, UTC), an item of
    each for each sample, and what is known at the end: how many values there are (`count`), how many samples without
    one (`missing`), and the times of the first and the last sample (`start`, `end`; null: no samples).
    `stream` has rows of SAMPLE in order of time, cut anywhere."""
    times: list[np.ndarray[Any, np.dtype[np.int64]]] = []
    missing = 0
    yield msgspec.json.encode(head)[:-1] + b',"values":['
    for samples in _samples(stream):
        yield (b"," if times else b"") + msgspec.json.encode(samples["value"].tolist())[1:-1]
        times.append(samples["ns"].copy())  # a view would keep the values as well
        missing += int(np.isnan(samples["value"]).sum())
    yield b'],"times":['
    for number, ns in enumerate(times):
        texts = format_instants(pl.Series(ns))
        yield (b'","' if number else b'"') + texts.str.join('","')[0].encode()
    yield (b'"],' if times else b"],") + msgspec.json.encode(_counts(times, missing))[1:]


def _counts(times: Sequence[np.ndarray[Any, np.dtype[np.int64]]], missing: int) -> dict[str, Any]:
    """The members of the document that are known at its end."""
    ends = (int(times[0][0]), int(times[-1][-1])) if times else (None, None)
    start, end = (None if ns is None else format_instant(ns) for ns in ends)
    return {"count": sum(map(len, times)) - missing, "missing": missing, "start": start, "end": end}


def _samples(stream: Iterable[bytes]) -> Iterator[np.ndarray[Any, Any]]:
    """The samples of each piece, at least one and at most PIECE_SAMPLES; what a piece has of half a sample is kept for
    the next."""
    rest = b""
    for piece in stream:
        body = rest + piece
        whole = len(body) - len(body) % SAMPLE.itemsize
        rest = body[whole:]
        samples = np.frombuffer(body, SAMPLE, whole // SAMPLE.itemsize)
        for first in range(0, len(samples), PIECE_SAMPLES):
            yield samples[first : first + PIECE_SAMPLES]
