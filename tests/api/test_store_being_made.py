"""A server answers before its store has tables: whoever reads then is told to ask again, and why."""

from pathlib import Path

from tests.api.samples import problem
from tests.support.api import running_api
from tests.support.engine import running_engine
from tidemill.store.migrate import FOLDER, migrate

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


def test_reads_of_columns_that_a_migration_is_about_to_add_are_unavailable(tmp_path: Path) -> None:
    """As on a fresh server in its first seconds, and while a store is brought up to date."""
    earlier = tmp_path / "schema"
    earlier.mkdir()
    for file in sorted(FOLDER.glob("*.sql"))[:6]:
        (earlier / file.name).write_text(file.read_text())
    with running_engine(tmp_path / "store") as address, running_api(tmp_path, store=address) as api:
        migrate(address, earlier)
        answer = api.client.get("/v1/flow")
        assert "not there yet" in problem(answer, 503, "store_unavailable")["detail"]
        migrate(address)
        assert api.client.get("/v1/flow").status_code == 200
