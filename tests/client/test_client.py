"""The client against a real API: what it sends arrives, what it reads is what is stored, what fails is typed."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tests.client.conftest import PUMPS
from tests.support.api import Api
from tidemill.client import AccessProblemError, AsyncTidemill, InputProblemError, NotFoundProblemError, Tidemill
from tidemill.errors import InputError, NotFoundError, TidemillError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def records(pump: str, bars: list[float]) -> list[dict[str, object]]:
    return [{"t": f"2026-01-01T{hour:02d}:00:00Z", "pump": pump, "bar": bar} for hour, bar in enumerate(bars)]


@pytest.fixture(scope="module")
def p1(tidemill: Tidemill) -> str:
    """The id of a series of four points; a fifth record was rejected."""
    receipt = tidemill.send("pumps", records("p1", [1.0, 2.0, 3.0, 5.0, 50.0]), wait=30)
    assert (receipt.state, receipt.accepted, receipt.rejected) == ("applied", 4, 1)
    assert tidemill.receipt(receipt.id) == receipt
    (series,) = tidemill.series(feed="pumps", field="bar", tags={"pump": "p1"})
    return series.id


@pytest.fixture(scope="module")
def long(tidemill: Tidemill) -> str:
    """The id of a series of more samples than two pages have, every second of them null."""
    signal = {"name": "long", "start": "2026-01-01T00:00:00Z", "interval": "1s", "values": [1.5, None] * 225_000}
    assert tidemill.send("signals", signal, wait=30).state == "applied"
    (series,) = tidemill.series(feed="signals", name="long")
    return series.id


def test_points_are_a_frame_in_time_order(tidemill: Tidemill, p1: str) -> None:
    frame = tidemill.points(p1)
    assert frame.schema == {"time": pl.Datetime("ns", "UTC"), "value": pl.Float64()}
    assert frame["value"].to_list() == [1.0, 2.0, 3.0, 5.0]
    assert frame["time"][0] == BEGIN
    assert tidemill.points(feed="pumps", field="bar", tags={"pump": "p1"}).equals(frame)
    later = tidemill.points(p1, start=BEGIN + timedelta(hours=1), end="2026-01-01T03:00:00Z")
    assert later["value"].to_list() == [2.0, 3.0]
    assert tidemill.points(p1, start="2030-01-01").schema == frame.schema
    assert frame.to_pandas()["value"].sum() == 11.0
    assert frame.to_arrow().num_rows == 4


def test_points_are_frames_of_the_library_that_is_wanted(tidemill: Tidemill, p1: str, long: str) -> None:
    table = tidemill.points_arrow(p1, tz="Europe/Berlin")
    assert table.column_names == ["time", "value"] and str(table.schema.field("time").type.tz) == "Europe/Berlin"
    assert table.column("value").to_pylist() == tidemill.points(p1)["value"].to_list()
    frame = tidemill.points_pandas(p1, tz="Europe/Berlin")
    assert frame["value"].sum() == 11.0 and frame["time"][0].isoformat() == "2026-01-01T01:00:00+01:00"
    assert tidemill.points_arrow(long).num_rows == 450_000
    windows = tidemill.points_pandas(p1, every="1d", agg="mean,count")
    assert list(windows.columns) == ["time", "mean", "count"] and windows["mean"][0] == 2.75


def test_analyses_and_other_routes_are_documents(tidemill: Tidemill, p1: str, long: str) -> None:
    assert tidemill.analysis("coverage", p1)["share"] == 1
    assert tidemill.analysis("comparison", p1, with_=p1)["difference"] == 0
    assert tidemill.analysis("profile", long, by="hour", tz="Europe/Berlin", every="1m")["by"] == "hour"
    assert tidemill.request("GET", "/v1/series", {"feed": "pumps", "limit": 1})["items"]
    question = {"select": {"series": [p1]}, "every": "1d", "agg": ["mean"]}
    answer = tidemill.request("POST", "/v1/query", json=question)
    again = tidemill.query({"series": [p1]}, every="1d", agg="mean", start=BEGIN)
    assert again == answer | {"took_ms": again["took_ms"]}
    assert (answer["time"], answer["items"][0]["columns"]) == (["2026-01-01T00:00:00Z"], {"mean": [2.75]})
    with pytest.raises(NotFoundProblemError):
        tidemill.analysis("moon", p1)


def test_a_question_is_a_frame_of_the_library_that_is_wanted(tidemill: Tidemill, p1: str) -> None:
    words = {"every": "1d", "agg": "mean,count", "tz": "Europe/Berlin", "expressions": {"twice": "2 * p"}}
    frame = tidemill.query_frame({"p": {"series": [p1]}}, **words)
    assert frame.columns[0] == "name" and frame.columns[-3:] == ["time", "mean", "count"]
    assert frame["name"].to_list() == ["p", "twice"] and frame["mean"].to_list() == [2.75, 5.5]
    assert frame["time"][0] == datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    table = tidemill.query_arrow({"series": [p1]}, every="1d", agg="count")
    assert table.column("count").to_pylist() == [4]
    assert tidemill.query_pandas({"series": [p1]}, agg="count")["count"].tolist() == [4]
    with pytest.raises(InputProblemError, match="has not come yet"):
        tidemill.query({"series": [p1]}, agg="count", as_of="2262-01-01")


def test_windows_follow_the_calendar_of_a_zone(tidemill: Tidemill, p1: str) -> None:
    frame = tidemill.points(p1, every="1d", agg=["mean", "count"], tz="Europe/Berlin")
    assert frame.columns == ["time", "mean", "count"]
    assert frame["time"][0] == datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    assert frame.rows()[0][1:] == (2.75, 4)


def test_long_reads_are_pages_with_progress(tidemill: Tidemill, long: str) -> None:
    heard: list[tuple[int, int | None]] = []
    frame = tidemill.points(long, progress=lambda done, total: heard.append((done, total)))
    assert (len(frame), frame["value"].null_count()) == (450_000, 225_000)
    assert frame["time"].is_sorted() and frame["time"].n_unique() == 450_000
    assert heard == [(200_000, None), (400_000, None), (450_000, None)]
    assert [len(page) for page in tidemill.point_pages(feed="signals", tags={"name": "long"})] == [200_000] * 2 + [
        50_000
    ]


def test_pages_of_text_are_one_file(tidemill: Tidemill, whole: Api, long: str) -> None:
    written = b"".join(tidemill.text_pages("csv", long)).splitlines()
    assert len(written) == 450_001
    assert written[:2] == [b'"time","value","flags","marks"', b'"2026-01-01T00:00:00Z",1.5,"",""']
    assert len(set(written)) == 450_001
    lines = b"".join(tidemill.text_pages("ndjson", long, end="2026-01-01T00:00:02Z")).splitlines()
    assert [json.loads(line)["value"] for line in lines] == [1.5, None]


def test_the_async_client_gives_the_same(tidemill: Tidemill, whole: Api, p1: str, long: str) -> None:
    async def read() -> None:
        async with AsyncTidemill(whole.url) as client:
            receipt, frame = await asyncio.gather(
                client.send("pumps", records("p2", [4.0]), wait=30),
                client.points(feed="pumps", field="bar", tags={"pump": "p1"}),
            )
            assert (receipt.state, frame["value"].to_list()) == ("applied", [1.0, 2.0, 3.0, 5.0])
            assert [len(page) async for page in client.point_pages(long)] == [200_000, 200_000, 50_000]
            assert await client.series(feed="signals") == tidemill.series(feed="signals")
            with pytest.raises(NotFoundProblemError):
                await client.metrics("0000000000000000")

    asyncio.run(read())


def test_what_became_of_records_is_said(tidemill: Tidemill, p1: str) -> None:
    (rejection,) = tidemill.rejections(feed="pumps")
    assert (rejection["reasons"], rejection["record"]["bar"]) == (["outside_range"], 50.0)
    story = tidemill.why("pumps", "bar", {"pump": "p1"}, datetime(2026, 1, 1, 4, tzinfo=UTC))
    assert story["verdict"]["state"] == "rejected"
    assert tidemill.metrics(p1, quantiles=[0.5])["mean"] == 2.75
    assert "pumps" in {feed["name"] for feed in tidemill.feeds()}
    assert tidemill.apply_feed(PUMPS)["version"] == 1
    items, cursor = tidemill.changes(feed="pumps")
    assert items == [] and tidemill.changes(feed="pumps", cursor=cursor)[0] == []


def test_a_refused_payload_has_its_faults_and_its_receipt(tidemill: Tidemill) -> None:
    with pytest.raises(InputProblemError) as refused:
        tidemill.send("pumps", [{"t": "2026-01-01T00:00:00Z", "pump": "p1"}])
    problem = refused.value
    assert (problem.status, problem.code, problem.errors[0].path) == (400, "invalid", "$[0].bar")
    assert problem.receipt is not None and tidemill.receipt(problem.receipt).feed == "pumps"


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda client: client.send("nowhere", []), NotFoundError, "nowhere"),
        (lambda client: client.receipt("../feeds"), NotFoundError, "receipt"),
        (lambda client: client.points("0123456789abcdef"), NotFoundError, "series"),
        (lambda client: client.points(feed="pumps", field="torque"), NotFoundError, "field 'torque'"),
        (lambda client: client.points(feed="pumps"), InputError, "pump=p1"),
        (lambda client: client.points(), InputError, "by its id"),
        (lambda client: client.points(feed="pumps", start=datetime(2026, 1, 1)), InputError, "without a zone"),
        (lambda client: client.send("pumps", [object()]), InputError, "JSON"),
        (lambda client: client.apply_feed("name = "), InputError, "no TOML"),
        (lambda client: client.apply_feed("[time]"), InputError, "no name"),
        (lambda client: client.apply_feed('name = "pumps"'), InputError, "pumps"),
        (lambda client: Tidemill("tidemill:8080"), InputError, "http://"),
    ],
)
def test_what_cannot_be_done_is_typed(
    tidemill: Tidemill, p1: str, call: Callable[[Tidemill], object], kind: type[TidemillError], said: str
) -> None:
    tidemill.send("pumps", records("p3", [4.0]), wait=30)
    with pytest.raises(kind) as raised:
        call(tidemill)
    assert said in str(raised.value)


def test_url_and_key_are_those_of_the_environment(whole: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_URL", f"{whole.url}/")
    monkeypatch.setenv("TIDEMILL_KEY", "no-key")
    with Tidemill() as client, pytest.raises(AccessProblemError):
        client.feeds()
    assert client.url == whole.url
    monkeypatch.delenv("TIDEMILL_KEY")
    with Tidemill() as client:
        assert client.feeds()


def test_it_needs_no_part_of_a_server() -> None:
    server = ("chdb", "litestar", "apsw", "clickhouse_connect", "uvicorn", "numpy", "polars", "scipy")
    source = f"import sys, tidemill.client; sys.exit(str([name for name in {server} if name in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
