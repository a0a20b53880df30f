"""`tidemill export` of several series, and after a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.cli.running import Run, runner
from tests.client.conftest import PUMPS
from tests.support.api import Api
from tidemill.client import Tidemill

WELLS = PUMPS.replace("pumps", "wells").replace("pump", "well")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whole: Api) -> Run:
    started = runner(monkeypatch, capsys, "export")
    monkeypatch.setenv("TIDEMILL_URL", whole.url)
    return started


@pytest.fixture(scope="module", autouse=True)
def wells(tidemill: Tidemill) -> None:
    tidemill.apply_feed(WELLS)
    rows = [
        {"t": f"2026-01-01T{hour:02d}:00:00Z", "well": well, "bar": hour + number}
        for number, well in enumerate(['a "b", c', "b", "c"])
        for hour in range(3)
    ]
    assert tidemill.send("wells", rows, wait=30).accepted == 9


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet", "arrow"])
def test_a_feed_becomes_one_file_with_what_tells_its_series_apart(run: Run, tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"wells.{kind}"
    done = run("--feed", "wells", "--field", "bar", "-o", file)
    assert done.status == 0 and "9 rows of 3 series" in done.err, done.err
    readers = {"csv": pl.read_csv, "ndjson": pl.read_ndjson, "parquet": pl.read_parquet, "arrow": pl.read_ipc}
    frame = readers[kind](file)
    assert frame.columns[:5] == ["feed", "field", "tag.well", "time", "value"]
    sums = dict(frame.group_by("tag.well").agg(pl.col("value").sum()).iter_rows())
    assert sums == {'a "b", c': 3, "b": 6, "c": 9}
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_series_are_named_by_ids_too(run: Run, tidemill: Tidemill, tmp_path: Path) -> None:
    first, second, _ = (info.id for info in tidemill.series(feed="wells", field="bar"))
    done = run(first, second, "-o", tmp_path / "two.csv", "--every", "1d", "--agg", "max,count")
    assert "2 rows of 2 series" in done.err, done.err
    assert "not by both" in run(first, "--feed", "wells", "-o", tmp_path / "x.csv").err
    assert run("--feed", "wells", "--tag", "well=none", "-o", tmp_path / "x.csv").status == 1


def test_a_killed_export_goes_on_where_it_was_ended(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "wells.ndjson"
    command = [sys.executable, "-m", "tidemill.cli", "export", "--feed", "wells", "--field", "bar", "-o", str(file)]
    environment = os.environ | {"TIDEMILL_CRASH_AT": "export.page:2"}
    assert subprocess.run(command, env=environment, check=False, timeout=100).returncode == -signal.SIGKILL
    assert not file.exists()
    kept = tmp_path / "wells.ndjson.part/000000.page"
    kept.write_bytes(kept.read_bytes().replace(b'"value":', b'"kept":'))
    done = run("--feed", "wells", "--field", "bar", "-o", file)
    assert done.status == 0 and "9 rows of 3 series" in done.err, done.err
    assert [name in json.loads(line) for line in file.read_text().splitlines() for name in ("kept",)].count(True) == 3
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
