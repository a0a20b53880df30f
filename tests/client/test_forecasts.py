"""Forecasts, scores and descriptions through the client and the commands, at a real API with a mill and a worker."""

import asyncio
import json
import math
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl
import pytest

from tests.cli.running import Run, runner
from tests.support.api import Api
from tidemill.client import AsyncTidemill, InputProblemError, NotFoundProblemError, Tidemill
from tidemill.errors import InputError

HOURS = 24 * 14
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def value(hour: int) -> float:
    return round(10 + 5 * math.sin(hour * math.pi / 12) + hour * 7919 % 13 / 20, 4)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whole: Api) -> Run:
    """Run `tidemill ...` in this process, in a shell of `make shell`."""
    started = runner(monkeypatch, capsys, "")
    monkeypatch.setenv("TIDEMILL_URL", whole.url)
    return started


def send_load(tidemill: Tidemill, name: str, hours: range) -> str:
    """Send hours of a load; returns the id of its series."""
    start = BEGIN.timestamp() + hours.start * 3600
    signal = {
        "name": name,
        "unit": "kW",
        "start": datetime.fromtimestamp(start, UTC).isoformat(),
        "interval": "1h",
        "values": [value(hour) for hour in hours],
    }
    assert tidemill.send("signals", signal, wait=30).state == "applied"
    return tidemill.resolve("signals", None, {"name": name}).id


@pytest.fixture(scope="module")
def load(tidemill: Tidemill) -> str:
    return send_load(tidemill, "client load", range(HOURS))


def test_a_forecast_is_typed_and_a_frame(tidemill: Tidemill, load: str) -> None:
    made = tidemill.forecast(load, horizon=6, level=[50, 90], minimum=0, tz="Europe/Berlin")
    assert (made.id, made.unit, made.horizon, len(made.values)) == (load, "kW", 6, 6)
    assert made.times[0] == "2026-01-15T01:00:00+01:00"
    assert made.backtest is not None and made.backtest["ratio_to_seasonal_naive"] > 0
    frame = made.frame()
    assert frame.columns == ["time", "value", "lower_50", "upper_50", "lower_90", "upper_90"]
    assert frame["time"][0] == datetime(2026, 1, 15, tzinfo=UTC)
    assert (frame["lower_90"] <= frame["lower_50"]).all() and (frame["value"] <= frame["upper_50"]).all()
    windows = tidemill.forecast(load, horizon=2, every="6h", agg="sum", start=BEGIN, end="2026-01-10")
    assert (windows.every, windows.agg, windows.times[0]) == ("6h", "sum", "2026-01-10T00:00:00Z")


def test_a_stored_forecast_is_scored_as_values_come_through_a_job_or_not(tidemill: Tidemill) -> None:
    series = send_load(tidemill, "client score", range(HOURS))
    at_once = tidemill.forecasts.create(series, horizon=4, level=[80])
    by_job = tidemill.forecasts.create(series, horizon=4, level=[80], wait=0)
    assert at_once.forecast == by_job.forecast == tidemill.forecast(series, horizon=4, level=[80])
    assert tidemill.forecasts.get(by_job.id) == by_job
    assert [kept.id for kept in tidemill.forecasts.list_all(series=series)] == [by_job.id, at_once.id]
    assert tidemill.forecasts.score(at_once.id).now is None
    send_load(tidemill, "client score", range(HOURS, HOURS + 3))
    score = tidemill.forecasts.score(at_once.id)
    assert (score.arrived, score.pending, score.restated) == (3, 1, 0)
    assert score.now is not None and score.now == score.first and score.now.count == 3
    frame = score.frame()
    assert frame.schema == {
        "time": pl.Datetime("ns", "UTC"),
        "value": pl.Float64(),
        "truth": pl.Float64(),
        "first_truth": pl.Float64(),
    }
    assert frame["truth"].to_list() == [value(HOURS), value(HOURS + 1), value(HOURS + 2), None]
    tidemill.forecasts.delete(at_once.id)
    tidemill.forecasts.delete(at_once.id)
    with pytest.raises(NotFoundProblemError):
        tidemill.forecasts.score(at_once.id)


def test_what_cannot_be_forecast_is_typed(tidemill: Tidemill) -> None:
    short = send_load(tidemill, "client short", range(5))
    for make in (tidemill.forecast, tidemill.forecasts.create, partial(tidemill.forecasts.create, wait=0)):
        with pytest.raises(InputProblemError, match="at least 72 values") as raised:
            make(short)
        assert raised.value.code == "not_enough_points"
    with pytest.raises(InputError, match="without a zone"):
        tidemill.forecast(short, start=datetime(2026, 1, 1))


def test_a_series_is_described_in_sentences(tidemill: Tidemill, load: str) -> None:
    described = tidemill.describe(load, tz="Europe/Berlin")
    assert (described.kind, described.unit, described.tz) == ("consumption", "kW", "Europe/Berlin")
    assert "daily rhythm" in " ".join(described.sentences)
    assert described.figures["count"] == HOURS


def test_the_async_client_gives_the_same(tidemill: Tidemill, whole: Api, load: str) -> None:
    async def read() -> tuple[Any, ...]:
        async with AsyncTidemill(whole.url) as client:
            made, described = await asyncio.gather(client.forecast(load, horizon=3), client.describe(load))
            kept = await client.forecasts.create(load, horizon=3)
            return made, described, kept, await client.forecasts.score(kept.id)

    made, described, kept, score = asyncio.run(read())
    assert made == tidemill.forecast(load, horizon=3) == kept.forecast
    assert described == tidemill.describe(load)
    assert score == tidemill.forecasts.score(kept.id) and score.pending == 3


def test_the_command_prints_a_table_with_a_fan_and_the_back_test_in_words(run: Run, tidemill: Tidemill) -> None:
    series = send_load(tidemill, "shell load", range(HOURS))
    named = ("--feed", "signals", "--tag", "name=shell load")
    lines = run("forecast", *named, "--horizon", "3", "--level", "80,95", "--minimum", "0").out.splitlines()
    assert lines[0].split() == ["time", "value", "80", "%", "95", "%"]
    assert [line.split()[0] for line in lines[1:4]] == [f"2026-01-15T0{hour}:00:00Z" for hour in range(3)]
    assert all("●" in line and {"░", "▒"} & set(line) for line in lines[1:4])
    assert lines[4].startswith("value in kW ")
    assert lines[5].startswith("Made by ") and "2026-01-14T23:00:00Z" in lines[5]
    assert lines[6].startswith("Back-test: ") and "than repeating what was." in lines[6]
    assert "within the 80 % bounds" in lines[7] and lines[7].endswith("back-tested, not guaranteed.")
    document = json.loads(run("forecast", series, "--horizon", "3", "--format", "json").out)
    assert document["values"] == tidemill.forecast(series, horizon=3).values
    csv = run("forecast", series, "--horizon", "3", "--level", "90", "--format", "csv").out.splitlines()
    assert csv[0] == "time,value,lower_90,upper_90" and csv[1].startswith("2026-01-15T00:00:00Z,")

    stored = run("forecast", *named, "--horizon", "3", "--store").out.splitlines()[-1]
    id = stored.split()[2].rstrip(":")
    assert tidemill.forecasts.get(id).request["horizon"] == 3
    send_load(tidemill, "shell load", range(HOURS, HOURS + 2))
    scored = run("forecast", "--score", id).out.splitlines()
    assert scored[2].split()[2] == f"{value(HOURS + 1):.4g}"
    assert scored[4] == "Arrived: 2 of 3; missing: 0; to come: 1; restated: 0."
    assert scored[5].startswith("As the values are now: off by ") and "MASE" in scored[5]
    assert json.loads(run("forecast", "--score", id, "--format", "json").out)["arrived"] == 2


def test_the_command_describes_a_series(run: Run, tidemill: Tidemill, load: str) -> None:
    lines = run("describe", load, "--tz", "Europe/Berlin").out.splitlines()
    assert lines[0] == "consumption" and lines[1] == tidemill.describe(load, tz="Europe/Berlin").sentences[0]
    assert any(line.startswith("period: day") for line in lines)
    assert lines[-1].startswith("mean of the hours 0 to 23 ")
    assert json.loads(run("describe", load, "--format", "json").out)["kind"] == "consumption"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("forecast",), "Name a series by its id"),
        (("forecast", "0123456789abcdef", "--level", "high"), "--level is percents"),
        (("forecast", "0123456789abcdef", "--format", "xml"), "--format is table, csv or json"),
        (("describe", "0123456789abcdef", "--format", "csv"), "--format is table or json"),
    ],
)
def test_a_wrong_option_is_named(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.status == 2 and said in done.err, done.err
