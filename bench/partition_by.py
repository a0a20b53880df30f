"""Measures PARTITION BY of the table of points: none, by year, by month. Run by hand: `python -m bench.partition_by`.

Its figures are in decision 0022.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.support.engine import running_engine

from tidemill.errors import StoreQueryError
from tidemill.store.client import Store, StoreAddress
from tidemill.store.migrate import migrate
from tidemill.store.queries import Query, load_queries, query

KINDS: Final = {"none": "", "year": "PARTITION BY toYear(time)", "month": "PARTITION BY toYYYYMM(time)"}
SERIES, YEARS, HOURS = 20, 20, 8766
TEXTS: Final = load_queries(Path(__file__).parent / "sql")


def main() -> None:
    """Fill the tables, then time an upload, two queries, and retention by DELETE and by DROP PARTITION."""
    with tempfile.TemporaryDirectory() as folder, running_engine(Path(folder), database="tidemill") as address:
        migrate(address)
        for kind, clause in KINDS.items():
            _measure(kind, clause, address)


def _measure(kind: str, clause: str, address: StoreAddress) -> None:
    made = query("make", f"CREATE TABLE points_{kind} AS points ENGINE = ReplacingMergeTree(version) {clause} "
                 "ORDER BY (tenant, series, time, ordinal) SETTINGS index_granularity = 2048, fsync_after_insert = 1, "
                 "fsync_part_directory = 1")  # fmt: skip
    store = Store(address, queries={"make": made, **_queries_of(kind)})
    store.command("make")
    for year in range(YEARS):
        store.command("by_fill", series=SERIES, first=year * HOURS, hours=HOURS)
    parts = store.rows("by_parts")[0]["n"]
    month = {"series": 3, "first": "2016-03-01 00:00:00", "last": "2016-04-01 00:00:00"}
    years = {"series": 3, "first": "2010-01-01 00:00:00", "last": "2020-01-01 00:00:00"}
    expired = {"series": SERIES // 10, "last": "2007-01-01 00:00:00"}
    figures = {
        "upload of 20 years, ms": _timed(lambda: store.command("by_upload", series=SERIES)),
        "a month, ms": _timed(lambda: store.rows("by_range", **month), 20),
        "10 years, ms": _timed(lambda: store.rows("by_range", **years), 20),
        "a year of a tenth of the series by DELETE, ms": _timed(lambda: store.command("by_expired", **expired)),
    }
    if kind == "year":
        dropped = _timed(lambda: store.command("by_drop", partition=2006))
        figures["a year of all series by DROP PARTITION, ms"] = dropped
    print(kind, f"{parts} parts before,", store.rows("by_parts")[0]["n"], "after:", figures, flush=True)
    store.close()


def _queries_of(kind: str) -> dict[str, Query]:
    return {name: query(name, text.sql.replace("points_TABLE", f"points_{kind}")) for name, text in TEXTS.items()}


def _timed(work: Callable[[], object], times: int = 1) -> str:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        try:
            work()
        except StoreQueryError as error:
            return f"refused: {error.message[:120]}"
        taken.append((time.perf_counter() - begun) * 1000)
    return f"{statistics.median(taken):.1f}"


if __name__ == "__main__":
    main()
