"""Reads at which of several instants records have or had their points."""

from collections.abc import Callable, Sequence

import polars as pl

from tidemill.store.client import Store

_CHUNK = 5_000  # offsets in one query


def record_times(store: Store, tenant: str) -> Callable[[Sequence[int], Sequence[int], Sequence[int]], pl.DataFrame]:
    """A function of series, times (ns) and offsets that returns `seq`, `idx` and `time` (ns) of the points there, also
    of those that others have replaced. It raises StoreUnavailableError, StoreQueryError."""

    def read(series: Sequence[int], times: Sequence[int], seqs: Sequence[int]) -> pl.DataFrame:
        frames = [pl.DataFrame(schema={"seq": pl.UInt64, "idx": pl.UInt32, "time": pl.Int64})]
        for start in range(0, len(seqs), _CHUNK):
            part = list(seqs[start : start + _CHUNK])
            rows = store.frame("search_record_times", tenant=tenant, series=list(series), times=list(times), seqs=part)
            frames.append(rows.select(pl.col(name).cast(kind) for name, kind in frames[0].schema.items()))
        return pl.concat(frames)

    return read
