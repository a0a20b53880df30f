"""Draws the pictures of docs/how-to/two-meters.md: `python scripts/two_meters.py FOLDER`.

The values are those that `tidemill simulate meters` serves, the figures those of the analyses that the API uses.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the server's worker processes

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from svg import Panel, Picture
from tidemill.analysis.autocorrelation import correlogram
from tidemill.analysis.distribution import distribution, duration_curve
from tidemill.analysis.forecast import forecast
from tidemill.analysis.forecast.answer import Forecast
from tidemill.analysis.profile import profile
from tidemill.simulate.meters import EXPORT, HOUSEHOLD_MUID, IMPORT, SOLAR_MUID, MeterServer, MetersOptions

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ZONE: Final = "Europe/Zurich"
_NS: Final = 10**9
_DAYS: Final = 70
_WIDTH: Final = 760
_LEFTS: Final = (48, 428)  # of the two columns of panels
_PANEL: Final = 300


class Meter:
    """A meter of the page: its values in kWh a quarter hour, and how it is drawn."""

    def __init__(self, muid: str, register: str, name: str, style: str) -> None:
        self.name, self.style = name, style
        begin, self.end = (_midnight(text) for text in ("2023-02-06", "2023-04-17"))
        server = MeterServer(MetersOptions(), clock_ns=lambda: 2 * 10**18)
        records = server.records(muid, begin, self.end + 86_400 * _NS, 10_000)
        times = begin + 900 * _NS * np.arange(len(records), dtype=np.int64)
        values = np.array([record[register] for record in records])
        known = times < self.end
        self.times, self.values = times[known], values[known]
        self.after = values[~known]


def draw(folder: Path) -> None:
    """Write every picture into a folder."""
    meters = (
        Meter(HOUSEHOLD_MUID, IMPORT, "Household", "a"),
        Meter(SOLAR_MUID, EXPORT, "Roof", "b"),
    )
    forecasts = [forecast(meter.times, meter.values, 96, (80, 95), minimum=0, tz=ZONE) for meter in meters]
    pictures = {
        "days": _days(meters),
        "intervals": _intervals(meters),
        "distribution": _distribution(meters),
        "autocorrelation": _autocorrelation(meters),
        "forecast": _forecast(meters, forecasts),
        "backtest": _back_test(meters, forecasts),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_text(picture.text(), "utf-8")


def _days(meters: tuple[Meter, ...]) -> Picture:
    """The mean day of each, with what is usual of nine in ten days."""
    picture = Picture(_WIDTH, 230, "The mean day of a household and of a roof with solar panels, in kWh a quarter hour")
    for meter, left in zip(meters, _LEFTS, strict=True):
        hours = profile(meter.times, meter.values, "hour", ZONE)
        panel = picture.panel(left, 34, _PANEL, 160, x=(0, 23), y=(0, 1.08 * max(hours.p90)))
        panel.y_ticks()
        panel.area(range(24), hours.p10, hours.p90, meter.style)
        panel.line(range(24), hours.mean, meter.style)
        panel.x_ticks((hour, f"{hour:02d} h") for hour in (0, 6, 12, 18, 23))
        panel.title(f"{meter.name}: mean and 10 to 90 % by hour, kWh")
    return picture


def _intervals(meters: tuple[Meter, ...]) -> Picture:
    """The same weeks by quarter hour, hour, day and week."""
    picture = Picture(_WIDTH, 590, "Two meters grouped by quarter hour, hour, day and week of Zurich")
    for meter, left in zip(meters, _LEFTS, strict=True):
        days = _local_days(meter.times)
        week = (days >= 35) & (days < 42)  # before clocks change
        at = np.arange(week.sum())
        hour = meter.values[week][: len(at) // 4 * 4].reshape(-1, 4).sum(axis=1)
        whole = np.bincount(days, meter.values)
        rows = (
            ("one week by quarter hour", at / 96, meter.values[week]),
            ("the same week by hour", np.arange(len(hour)) / 24, hour),
            ("ten weeks by day", np.arange(_DAYS), whole),
            ("ten weeks by week", np.arange(0, _DAYS, 7), whole.reshape(-1, 7).sum(axis=1)),
        )
        for row, (what, xs, ys) in enumerate(rows):
            span = (0, 7) if row < 2 else (0, _DAYS)
            panel = picture.panel(left, 34 + 140 * row, _PANEL, 90, x=span, y=(0, 1.08 * float(ys.max())))
            panel.y_ticks(2)
            panel.title(f"{meter.name}: {what}, kWh")
            if row < 2:
                panel.line(xs, ys, f"{meter.style} thin" if row == 0 else meter.style)
                panel.x_ticks((day + 0.5, name) for day, name in enumerate(("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")))
            else:
                width = 1 if row == 2 else 7
                panel.bars(xs, xs + width, ys, meter.style)
                panel.x_ticks(_weeks())
    return picture


def _distribution(meters: tuple[Meter, ...]) -> Picture:
    """How often which values are, and the load-duration curve."""
    picture = Picture(_WIDTH, 400, "Histogram and load-duration curve of two meters")
    for meter, left in zip(meters, _LEFTS, strict=True):
        histogram = distribution(meter.values, bins=40, probabilities=(0.5, 0.95))
        edges, counts = np.array(histogram.edges), np.array(histogram.counts) / len(meter.values) * 100
        panel = picture.panel(left, 34, _PANEL, 130, x=(0, float(edges[-1])), y=(0, 1.08 * float(counts.max())))
        panel.y_ticks()
        panel.bars(edges[:-1], edges[1:], counts, meter.style)
        panel.x_ticks((kwh, f"{kwh:g}") for kwh in np.arange(0, edges[-1], 0.2))
        panel.title(f"{meter.name}: % of quarter hours, by kWh")
        curve = duration_curve(meter.values, np.full(len(meter.values), 0.25))
        panel = picture.panel(left, 224, _PANEL, 130, x=(0, 100), y=(0, 1.08 * max(curve.values)))
        panel.y_ticks()
        share = 100 * np.array(curve.share)
        panel.area(share, np.zeros(len(share)), curve.values, f"{meter.style} light")
        panel.line(share, curve.values, meter.style)
        panel.x_ticks((percent, f"{percent} %") for percent in (0, 25, 50, 75, 100))
        panel.title(f"{meter.name}: kWh reached, by share of the time")
    return picture


def _autocorrelation(meters: tuple[Meter, ...]) -> Picture:
    """The autocorrelation at lags up to eight days."""
    picture = Picture(_WIDTH, 230, "Autocorrelation of two meters at lags of up to eight days")
    lags = 8 * 96
    for meter, left in zip(meters, _LEFTS, strict=True):
        answer = correlogram(meter.values, lags)
        acf = np.array(answer.acf, dtype=np.float64)
        panel = picture.panel(left, 34, _PANEL, 160, x=(0, 8), y=(-0.5, 1.02))
        panel.y_ticks()
        bound = np.array(answer.bartlett, dtype=np.float64)
        days = np.arange(lags + 1) / 96
        panel.area(days[::8], -bound[::8], bound[::8], "dim light")
        panel.upright(7, "dash dim")
        panel.line(days, acf, meter.style)
        panel.x_ticks((day, f"{day} d") for day in range(0, 9, 2))
        panel.note(7.08, 0.94, f"{acf[672]:.2f}", meter.style)
        panel.note(1.08, acf[96] + 0.04, f"{acf[96]:.2f}", meter.style)
        panel.title(f"{meter.name}: autocorrelation, and Bartlett's bound")
    return picture


def _forecast(meters: tuple[Meter, ...], forecasts: list[Forecast]) -> Picture:
    """The last two days, the forecast of the next with its bounds, and what came."""
    picture = Picture(_WIDTH, 230, "The forecast of the next day of two meters, with its bounds and what came")
    past = 192
    for meter, made, left in zip(meters, forecasts, _LEFTS, strict=True):
        high = max(float(made.levels["95"].upper.max()), float(meter.after.max()), float(meter.values[-past:].max()))
        panel = picture.panel(left, 34, _PANEL, 160, x=(-2, 1), y=(0, 1.05 * high))
        panel.y_ticks()
        ahead = np.arange(96) / 96
        panel.area(ahead, made.levels["95"].lower, made.levels["95"].upper, f"{meter.style} light")
        panel.area(ahead, made.levels["80"].lower, made.levels["80"].upper, meter.style)
        panel.line(np.arange(-past, 0) / 96, meter.values[-past:], f"{meter.style} thin")
        panel.line(ahead, meter.after, "ink thin")
        panel.line(ahead, made.values, f"{meter.style} dash")
        panel.upright(0, "dim")
        panel.x_ticks(((-1.5, "15 April"), (-0.5, "16 April"), (0.5, "17 April")))
        panel.title(f"{meter.name}: forecast, and what came (thin), kWh")
    return picture


def _back_test(meters: tuple[Meter, ...], forecasts: list[Forecast]) -> Picture:
    """The errors of the models in the back-test."""
    picture = Picture(_WIDTH, 250, "The mean absolute errors of the models in the back-tests of two meters")
    for meter, made, left in zip(meters, forecasts, _LEFTS, strict=True):
        assert made.back_test is not None
        scores = {score.model: score.mae for score in made.back_test.models}
        shown = {name: scores[name] for name in ("auto", "linear", "ets", "seasonal_mean", "seasonal_naive", "naive")}
        panel = picture.panel(left + 60, 34, _PANEL - 80, 190, x=(0, 1.1 * max(shown.values())), y=(len(shown), 0))
        _ranked(panel, shown, meter.style)
        panel.write(left, 25, f"{meter.name}: mean absolute error of 96 steps, kWh", "title")
    return picture


def _ranked(panel: Panel, scores: dict[str, float], style: str) -> None:
    """A horizontal bar for each score."""
    for row, (name, score) in enumerate(scores.items()):
        panel.area(
            (0, score), (row + 0.15,) * 2, (row + 0.85,) * 2, f"{style} {'solid' if name == 'auto' else 'light'}"
        )
        panel.note(score, row + 0.62, f" {score:.3f}", style if name == "auto" else "")
        panel.write(panel.left - 6, panel.top + (row + 0.62) * panel.height / len(scores), name, anchor="end")


def _weeks() -> list[tuple[float, str]]:
    """The Mondays that are labelled, by days since the first."""
    begin = datetime(2023, 2, 6)
    return [(day, f"{begin + timedelta(day):%-d %b}") for day in range(0, _DAYS, 14)]


def _local_days(times_ns: Integers) -> Integers:
    """The local day of each time, from 0."""
    offsets = [datetime.fromtimestamp(int(at) // _NS, ZoneInfo(ZONE)).toordinal() for at in times_ns]
    return np.array(offsets) - offsets[0]


def _midnight(text: str) -> int:
    """The begin of a local day, in ns."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE))
    return int(local.astimezone(UTC).timestamp()) * _NS


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
