"""Case: lineage and why on a store of 50 million points with a ledger of a realistic size."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support.api import Api, running_api
from tests.support.engine import running_engine

from bench.figures import Figure
from tidemill.model.ids import format_series, series_id
from tidemill.model.time import format_instant, parse_instant
from tidemill.query.queries import Queries
from tidemill.query.why import WhyQuery
from tidemill.store.client import Store, StoreAddress
from tidemill.store.migrate import migrate
from tidemill.store.queries import load_queries

DEVICES, FIELDS, RECORDS = 200, 5, 20  # a payload is 20 records of one device, each with 5 fields
PAYLOADS, INSERTS = 500_000, 10
STEP_NS = 60 * 10**9
WINDOW_S = 900
START = parse_instant("2026-01-01T00:00:00Z")
TARGET_MS = 100.0
FEED = """
name = "fleet"
duplicates = "first"
[input]
on_fault = "reject"
[time]
path = "$.t"
[tags.id]
path = "$.id"
{fields}
[[rules]]
check = "range"
options = {{ field = "f0", max = 100 }}
[rollups]
every = "15m"
interval = "1m"
[source]
url = "http://127.0.0.1:1/"
every = "60s"
allow = ["127.0.0.1/32"]
""".format(fields="\n".join(f'[fields.f{n}]\npath = "$.f{n}"' for n in range(FIELDS)))

FILL = ("points", "payloads", "rejections", "replaced", "rollups", "changes", "polls")


def measure_lineage(folder: Path, *, quick: bool) -> list[Figure]:
    """50 million points, 500,000 payloads, 1 million rejections: 200 random instants with a point and 50 without."""
    payloads = PAYLOADS // (20 if quick else 1)
    with running_engine(folder / "store", database="tidemill") as address:
        migrate(address)
        started = time.monotonic()
        fill_store(address, payloads)
        print(f"   filled with {payloads * 100:,} points in {time.monotonic() - started:.0f} s", flush=True)
        with running_api(folder / "api", store=address) as api:
            api.services.texts.apply("default", "fleet", FEED)
            return _measure(api, payloads)


def series_ids() -> list[int]:
    """The ids of all series, those of a device together."""
    return [series_id("default", "fleet", {"id": f"d{d}"}, f"f{f}") for d in range(DEVICES) for f in range(FIELDS)]


_ALL = series_ids()


def fill_store(address: StoreAddress, payloads: int, tables: Sequence[str] = FILL) -> None:
    """Write the series, and the rows of these tables that so many payloads would leave."""
    named = load_queries(Path(__file__).parents[1] / "sql")
    store = Store(address, queries=named, settings={"max_memory_usage": 4 << 30}, timeout_s=600)
    store.command("series", series=_ALL)
    count = payloads // INSERTS
    for number in range(INSERTS):
        for name in tables:
            values = {"series": _ALL, "start": START, "first": number * count, "count": count}
            store.command(name, **{key: values[key] for key in named[name].params})
    store.close()


def _measure(api: Api, payloads: int) -> list[Figure]:
    random.seed(1)
    minutes = payloads // DEVICES * RECORDS
    present = [_instant(random.randrange(minutes), 0) for _ in range(200)]
    absent = [_instant(random.randrange(minutes), STEP_NS // 2) for _ in range(50)]
    windows = [(series, at - at % (WINDOW_S * 10**9)) for series, at in present]
    queries = api.services.queries
    return [
        *_timed("yardstick: describe a series", present, lambda s, at: queries.series.describe("default", s), None),
        *_timed("lineage of a point", present, lambda s, at: queries.lineage.point_lineage("default", s, at)),
        *_timed("lineage of a window", windows, lambda s, at: queries.lineage.window_lineage("default", s, at, 100)),
        *_timed("why, a point stands", present, lambda s, at: _why(queries, s, at, "stands")),
        *_timed("why, nothing stands", absent, lambda s, at: _why(queries, s, at, "")),
        *_timed("lineage of a point, HTTP", present, lambda s, at: _get(api, f"/v1/series/{s}/lineage", at)),
        *_timed("why over HTTP", present + absent, lambda s, at: _get(api, "/v1/why", at, series=s)),
    ]


def _instant(minute: int, shift_ns: int) -> tuple[str, int]:
    return format_series(random.choice(_ALL)), START + minute * STEP_NS + shift_ns


def _why(queries: Queries, series: str, at: int, state: str) -> None:
    story = queries.why.why("default", WhyQuery(series=int(series, 16), time=at))
    if state and story.verdict.state != state:
        raise AssertionError(f"{series} at {at}: {story.verdict.sentence}")


def _get(api: Api, path: str, at: int, **given: str) -> None:
    api.client.get(path, params={**given, "time": format_instant(at)}).raise_for_status()


def _timed(
    name: str, instants: list[tuple[str, int]], work: Callable[[str, int], Any], target: float | None = TARGET_MS
) -> list[Figure]:
    """Median and 99th percentile in ms; five calls before, which open connections, do not count."""
    for series, at in instants[:5]:
        work(series, at)
    taken = []
    for series, at in instants:
        started = time.perf_counter()
        work(series, at)
        taken.append((time.perf_counter() - started) * 1000)
    taken.sort()
    p99 = taken[min(len(taken) - 1, int(len(taken) * 0.99))]
    return [Figure(f"{name}, p50", taken[len(taken) // 2], "ms"), Figure(f"{name}, p99", p99, "ms", target)]
