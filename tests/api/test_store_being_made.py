"""A server answers before its store has tables: whoever reads then is told to ask again, and why."""

from pathlib import Path

from tests.api.samples import problem
from tests.support.api import running_api
from tests.support.engine import running_engine

READS = [
    "/v1/series",
    "/v1/changes",
    "/v1/rejections?feed=location",
    "/v1/feeds/location/points?field=speed",
    "/v1/why?feed=location&field=speed&time=2026-01-01T00:00:00Z",
]


def test_reads_of_a_store_without_tables_are_unavailable(tmp_path: Path) -> None:
    with running_engine(tmp_path / "store") as address, running_api(tmp_path, store=address) as api:
        for path in READS:
            answer = api.client.get(path)
            assert "its tables are not there yet" in problem(answer, 503, "store_unavailable")["detail"], path
            assert int(answer.headers["retry-after"]) >= 1
