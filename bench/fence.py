"""Measures the cost of the fence for a mill's writes. Run it by hand: `python -m bench.fence`.

Its figures are in decision 0023: wall time, and the engine's processor time, which hardly depends on other load of the
machine.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl
from tests.support.engine import Engine

from tidemill.store.client import Store
from tidemill.store.fenced import FencedStore
from tidemill.store.migrate import migrate

ROUNDS: Final = {1: 200, 250_000: 8}  # rows of an INSERT: how often, four times over


def main() -> None:
    """Time claims, then INSERTs with and without the fence, then DELETEs."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder) / "engine", database="tidemill").start()
        try:
            migrate(engine.address)
            _measure(engine)
        finally:
            engine.stop()


def _measure(engine: Engine) -> None:
    store = Store(engine.address)
    fenced = [FencedStore(store, 0) for _ in range(15)]
    print("claim", _shown([_timed_ms(store.claim) for store in fenced]), flush=True)
    stores = {"without": store, "with": fenced[-1]}
    assert engine.process is not None
    for rows, count in ROUNDS.items():
        frame, times, used = _points(rows), {name: list[float]() for name in stores}, dict.fromkeys(stores, 0.0)
        for name in [*stores, *reversed(stores)] * 2:
            begun_ms = _processor_ms(engine.process.pid)
            times[name] += [
                _timed_ms(lambda name=name, frame=frame: stores[name].insert("points", frame)) for _ in range(count)
            ]
            used[name] += _processor_ms(engine.process.pid) - begun_ms
        for name in stores:
            print(rows, name, _shown(times[name]), f"processor {used[name] / len(times[name]):.2f} ms", flush=True)
    purge = partial(fenced[-1].command, "mill_purge_payload_points", tenant="x")
    print("DELETE", _shown([_timed_ms(partial(purge, seq=seq)) for seq in range(10)]))
    print("the check of the owner behind it", _shown([_timed_ms(fenced[-1].ensure_owner) for _ in range(10)]))
    store.close()


def _points(rows: int) -> pl.DataFrame:
    number = pl.Series(range(rows), dtype=pl.Int64)
    at = (number * 1_000_000 + time.time_ns()).cast(pl.Datetime("ns", "UTC"))
    return pl.DataFrame(
        {
            "tenant": ["t"] * rows,
            "series": (number % 20).cast(pl.UInt64),
            "time": at,
            "ordinal": number * 0,
            "value": number.cast(pl.Float64),
            "version": number,
            "seq": number.cast(pl.UInt64),
            "idx": number.cast(pl.UInt32),
            "flags": (number * 0).cast(pl.UInt8),
            "received_at": at,
        }
    )


def _processor_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e3


def _timed_ms(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


def _shown(times_ms: list[float]) -> str:
    return f"median {statistics.median(times_ms):.2f} ms, least {min(times_ms):.2f} ms"


if __name__ == "__main__":
    main()
