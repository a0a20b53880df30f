"""The commands that send and read points, at a real API with a mill."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.running import Done, Run, runner
from tests.client.conftest import PUMPS
from tests.support.api import Api
from tests.support.server import CLOSED_PORT
from tidemill.cli.sparkline import sparkline
from tidemill.client import Tidemill

TANKS = PUMPS.replace("pumps", "tanks").replace("pump", "tank")
SERIES = ("--feed", "tanks", "--field", "bar", "--tag", "tank=a")


def lines(levels: list[float], tank: str = "a", day: int = 1) -> bytes:
    rows = [{"t": f"2026-01-{day:02d}T{hour:02d}:00:00Z", "tank": tank, "bar": bar} for hour, bar in enumerate(levels)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whole: Api) -> Run:
    """Run `tidemill ...` in this process, in a shell of `make shell`."""
    started = runner(monkeypatch, capsys, "")
    monkeypatch.setenv("TIDEMILL_URL", whole.url)
    return started


@pytest.fixture(scope="module", autouse=True)
def tanks(tidemill: Tidemill) -> None:
    tidemill.apply_feed(TANKS)
    assert tidemill.send("tanks", lines([1.0, 2.5, 4.0]), wait=30).accepted == 3


def test_send_says_what_became_of_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "levels.ndjson"
    file.write_bytes(lines([1.0, 99.0], tank="b"))
    sent = run("send", "tanks", file, "--wait", "30")
    assert sent.status == 0, sent.err
    assert sent.out.split(" ", 1)[1] == "applied: 1 accepted, 1 rejected (outside_range 1)\n"
    receipt = json.loads(run("send", "tanks", file, "--wait", "30", "--format", "json", "--idempotency-key", "k").out)
    assert receipt["reasons"]["outside_range"] == 1
    again = json.loads(run("send", "tanks", file, "--wait", "30", "--format", "json", "--idempotency-key", "k").out)
    assert again["id"] == receipt["id"]


def test_a_refused_file_is_named_with_its_faults(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "levels.json"
    file.write_text('[{"t": "noon", "tank": "b", "bar": 1}]')
    sent = run("send", "tanks", file)
    assert sent.status == 2
    assert "The bytes are kept as payload " in sent.err and "$[0].t" in sent.err
    assert "cannot be read" in run("send", "tanks", tmp_path / "none").err


def test_query_prints_a_table_with_bars_and_a_plot(run: Run) -> None:
    table = run("query", *SERIES).out.splitlines()
    assert [line.split() for line in table] == [
        ["time", "value"],
        ["2026-01-01T00:00:00Z", "1", "█" * 6],
        ["2026-01-01T01:00:00Z", "2.5", "█" * 15],
        ["2026-01-01T02:00:00Z", "4", "█" * 24],
        ["value", "▁▅█"],
    ]
    windows = run("query", *SERIES, "--every", "1d", "--agg", "max,count", "--tz", "Asia/Tokyo").out.splitlines()
    assert windows[1].split()[:3] == ["2026-01-01T00:00:00+09:00", "4", "3"]
    assert "… 1 more" in run("query", *SERIES, "--rows", "2").out
    assert run("query", *SERIES, "--start", "2030-01-01").out.split() == ["time", "value"]


def test_query_gives_the_formats_of_the_api(run: Run, tidemill: Tidemill) -> None:
    series = tidemill.resolve("tanks", "bar", {"tank": "a"}).id
    csv = run("query", series, "--format", "csv").out
    assert csv.splitlines()[:2] == ['"time","value","flags","marks"', '"2026-01-01T00:00:00Z",1,"",""']
    items = json.loads(run("query", series, "--format", "json", "--start", "2026-01-01T01:00:00Z").out)
    assert [item["value"] for item in items] == [2.5, 4]
    assert [json.loads(line) for line in run("query", series, "--format", "ndjson").out.splitlines()][1:] == items
    assert json.loads(run("query", series, "--format", "json", "--start", "2030-01-01").out) == []


def test_query_prints_several_series_side_by_side(run: Run, tidemill: Tidemill) -> None:
    assert tidemill.send("tanks", lines([7.0, 8.0], tank="side", day=9), wait=30).accepted == 2
    assert tidemill.send("tanks", lines([1.0, 2.0, 4.0], tank="by", day=9), wait=30).accepted == 3
    ids = {name: tidemill.resolve("tanks", "bar", {"tank": name}).id for name in ("side", "by")}
    span = ("--start", "2026-01-09", "--end", "2026-01-10")
    both = run("query", f"{ids['side']},{ids['by']}", *span)
    assert [line.split() for line in both.out.splitlines()][:4] == [
        ["time", *sorted(ids.values(), key=[ids["side"], ids["by"]].index)],
        ["2026-01-09T00:00:00Z", "7", "1"],
        ["2026-01-09T01:00:00Z", "8", "2"],
        ["2026-01-09T02:00:00Z", "4"],
    ]
    windows = run("query", "--feed", "tanks", "--field", "bar", *span, "--every", "1d", "--agg", "max").out
    head, row = (line.split() for line in windows.splitlines()[:2])
    assert dict(zip(head, row, strict=True)) == {"time": "2026-01-09T00:00:00Z", "side": "8", "by": "4"}
    long = run("query", "--feed", "tanks", "--field", "bar", *span, "--format", "ndjson").out.splitlines()
    assert [tuple(json.loads(line).values())[0::2] for line in long].count((ids["by"], 4)) == 1 and len(long) == 5
    frame = tidemill.many_points([ids["side"], ids["by"]], start="2026-01-09", every="1d", agg="sum")
    assert sorted(frame.select("series", "sum").rows()) == sorted([(ids["side"], 15.0), (ids["by"], 7.0)])


def test_query_groups_series_and_computes_with_them(run: Run, tidemill: Tidemill) -> None:
    assert tidemill.send("tanks", lines([3.0, 5.0], tank="in", day=11), wait=30).accepted == 2
    assert tidemill.send("tanks", lines([1.0, 1.0], tank="out", day=11), wait=30).accepted == 2
    ids = {name: tidemill.resolve("tanks", "bar", {"tank": name}).id for name in ("in", "out")}
    day = ("--start", "2026-01-11", "--end", "2026-01-12", "--every", "1d")
    of_feed = ("--feed", "tanks", "--field", "bar", *day, "--agg", "sum")
    rows = json.loads(run("query", *of_feed, "--group-by", "", "--across", "sum", "--format", "json").out)
    assert [(row["name"], row["sum"]) for row in rows] == [("bar", 10)]
    selected = ("--select", f"a={ids['in']}", "--select", f"b={ids['out']}", "--group-by", "")
    table = run("query", *selected, *day, "--agg", "sum", "--expression", "net=a - b").out.splitlines()
    assert table[0].split() == ["time", "a", "b", "net"] and table[1].split()[1:] == ["8", "2", "6"]
    crowded = run("query", *of_feed, "--group-by", "")
    assert crowded.status == 2 and "$.across" in crowded.err and "sum, mean, min, max" in crowded.err
    assert run("query", *selected, *day, "--expression", "net").err.startswith("--expression is NAME=TEXT")


def test_a_fault_of_a_whole_question_has_no_place(run: Run) -> None:
    refused = run("query", *SERIES, "--every", "1s", "--start", "1970-01-01", "--end", "2100-01-01")
    assert refused.status == 2 and "$:" not in refused.err and "max_span" in refused.err, refused.err


def test_metrics_are_a_table_or_the_document(run: Run, tidemill: Tidemill) -> None:
    series = tidemill.resolve("tanks", "bar", {"tank": "a"}).id
    rows = dict(line.split(None, 1) for line in run("metrics", *SERIES).out.splitlines() if " " in line.strip())
    assert rows["mean"].strip() == "2.5"
    assert json.loads(run("metrics", series, "--format", "json").out) == tidemill.metrics(series)


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet", "arrow"])
def test_export_writes_a_whole_file(run: Run, tidemill: Tidemill, tmp_path: Path, kind: str) -> None:
    signal = {
        "name": f"export {kind}",
        "start": "2026-01-01T00:00:00Z",
        "interval": "1s",
        "values": [1.5, None] * 101_000,
    }
    assert tidemill.send("signals", signal, wait=30).state == "applied"
    file = tmp_path / f"signal.{kind}"
    done = run("export", "--feed", "signals", "--tag", f"name=export {kind}", "-o", file)
    assert (done.status, done.err.split(": ")[-1]) == (0, "202,000 rows\n"), done.err
    readers = {"csv": pl.read_csv, "ndjson": pl.read_ndjson, "parquet": pl.read_parquet, "arrow": pl.read_ipc}
    frame = readers[kind](file)
    assert (len(frame), frame["value"].null_count(), frame["time"].n_unique()) == (202_000, 101_000, 202_000)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_export_that_fails_leaves_no_file(run: Run, tmp_path: Path) -> None:
    assert run("export", "0123456789abcdef", "-o", tmp_path / "none.csv").status == 1
    assert run("export", *SERIES, "-o", tmp_path / "none.xls").err.startswith("The end of the file's name is csv,")
    assert "cannot be written" in run("export", *SERIES, "-o", tmp_path / "folder" / "none.csv").err
    assert list(tmp_path.iterdir()) == []


def tailed(run: Run, tidemill: Tidemill, payload: Callable[[int], bytes]) -> list[dict[str, Any]]:
    """What `tail` prints first, of payloads that are sent until it has printed two lines: it does not print what was
    applied before it looked first."""
    results: list[Done] = []
    command = ("tail", "tanks", "--count", "2", "--interval", "0.1", "--format", "ndjson")
    follower = threading.Thread(target=lambda: results.append(run(*command)), daemon=True)
    follower.start()
    deadline, number = time.monotonic() + 60, 0
    while follower.is_alive() and time.monotonic() < deadline:
        number += 1
        tidemill.send("tanks", payload(number), wait=30)
    follower.join(10)
    return [json.loads(line) for line in results[0].out.splitlines()]


def test_tail_follows_new_points(run: Run, tidemill: Tidemill) -> None:
    begun = datetime(2026, 2, 1, tzinfo=UTC)

    def newer(number: int) -> bytes:
        stamp = (begun + timedelta(hours=number)).isoformat()
        return json.dumps({"t": stamp, "tank": "new", "bar": number % 9}).encode()

    first, second = tailed(run, tidemill, newer)
    assert (first["tags"], first["field"]) == ({"tank": "new"}, "bar")
    hours = [(datetime.fromisoformat(item["time"]) - begun) // timedelta(hours=1) for item in (first, second)]
    assert hours[1] == hours[0] + 1
    assert [item["value"] for item in (first, second)] == [hour % 9 for hour in hours]


def test_tail_follows_changes(run: Run, tidemill: Tidemill) -> None:
    tidemill.send("tanks", lines([1.0], tank="changed"), wait=30)
    first, second = tailed(run, tidemill, lambda number: lines([float(number % 9)], tank="changed"))
    assert (first["why"], first["tags"]) == ("replaced", {"tank": "changed"})
    assert first["new"] == second["old"] != second["new"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("query",), "Name a series by its id, or with --feed"),
        (("query", "0123456789abcdef", "--feed", "tanks"), "not by both"),
        (("query", *SERIES, "--tag", "tank"), "--tag is NAME=VALUE"),
        (("query", *SERIES, "--format", "xml"), "--format is table, csv, json or ndjson, not 'xml'"),
        (("query", *SERIES, "--start", "noon"), "$query.start"),
        (("metrics", "--feed", "tanks"), "tank=a"),
        (("metrics", *SERIES, "--end", "noon"), "$query.end"),
        (("tail", "tanks", "--format", "xml"), "--format is text or ndjson"),
        (("query", *SERIES, "--url", "tanks"), "http://"),
    ],
)
def test_a_wrong_option_is_named(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.status == 2 and said in done.err, done.err


def test_a_server_that_is_not_there_and_a_wrong_key_name_the_options(run: Run) -> None:
    gone = run("query", *SERIES, "--url", f"http://127.0.0.1:{CLOSED_PORT}")
    assert gone.status == 1 and "--url or TIDEMILL_URL" in gone.err
    wrong = run("metrics", *SERIES, "--key", "nobody")
    assert wrong.status == 1 and "--key or TIDEMILL_KEY" in wrong.err


def test_a_sparkline_hides_no_extreme() -> None:
    assert sparkline([1.0, None, 3.0], 10) == "▁ █"
    assert sparkline([2.0, 2.0], 10) == "▄▄"
    assert sparkline([None, float("nan")], 10) == ""
    line = sparkline([0.0] * 500 + [9.0] + [0.0] * 499, 40)
    assert len(line) == 40 and line.count("█") == 1
    assert sparkline([-1e308, 1e308], 2) == "▁█"
