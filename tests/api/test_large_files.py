"""Ten million points as a file: the API holds a few frames of them, whatever the format."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest

from tests.support.api import Api, running_api
from tests.support.engine import running_engine
from tidemill.model.ids import format_series, series_id
from tidemill.store.client import Store
from tidemill.store.migrate import migrate
from tidemill.store.queries import query

POINTS = 10_000_000
MOST_MIB = 300
FILL = query(
    "fill",
    "INSERT INTO points (tenant, series, time, value, version, seq, received_at) "
    "SELECT 'default', {series:UInt64}, fromUnixTimestamp64Nano(1700000000000000000 + number * 1000000000, 'UTC'), "
    "(number * 7919 % 100003) / 100, 1, 1, now() FROM numbers({points:UInt64})",
)
NAME = query(
    "name",
    "INSERT INTO series (tenant, series, feed, name, field, version) "
    "VALUES ('default', {series:UInt64}, 'signals', 'long', 'value', 1)",
)


@pytest.fixture(scope="module")
def long_series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    folder, number = tmp_path_factory.mktemp("large"), series_id("default", "signals", {}, "value")
    with running_engine(folder / "store") as address:
        migrate(address)
        store = Store(address, queries={"fill": FILL, "name": NAME})
        store.command("name", series=number)
        store.command("fill", series=number, points=POINTS)
        store.close()
        with running_api(folder, store=address) as api:
            yield api, format_series(number)


def memory_kib(name: str) -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name + ":")]
    return int(line.split()[1])


COUNTS: dict[str, Callable[[Path], int]] = {
    "parquet": lambda path: int(pl.scan_parquet(path).select(pl.len()).collect().item()),
    "csv": lambda path: sum(block.count(b"\n") for block in blocks(path)) - 1,
}


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("route", ["/v1/points?series={id}", "/v1/series/{id}/points?"])
def test_ten_million_points_take_little_memory(
    long_series: tuple[Api, str], tmp_path: Path, kind: str, route: str
) -> None:
    api, key = long_series
    path = tmp_path / f"points.{kind}"
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory_kib("VmRSS")
    with (
        path.open("wb") as file,
        httpx.stream("GET", f"{api.url}{route.format(id=key)}&format={kind}", timeout=300) as answer,
    ):
        assert answer.status_code == 200
        for piece in answer.iter_bytes():  # of csv unpacked
            file.write(piece)
    assert memory_kib("VmHWM") - before < MOST_MIB << 10
    assert COUNTS[kind](path) == POINTS
