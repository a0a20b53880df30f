"""What a series is: meters, shops and farms, classic processes, awkward input; and the sentences with their figures."""

import math
import warnings

import msgspec
import numpy as np
import pytest

from tests.analysis.made_series import HOUR_NS, ZONE, Made, autoregressive, hourly, instant, meter, shop
from tidemill.analysis.description import KINDS, SeriesDescription, describe
from tidemill.simulate.meters import EXPORT, HOUSEHOLD_MUID, IMPORT, SOLAR_MUID


def text(description: SeriesDescription) -> str:
    return " ".join(description.sentences)


def test_the_household() -> None:
    found = describe(*meter(HOUSEHOLD_MUID, IMPORT), tz=ZONE, unit="kWh", name=IMPORT)
    assert found.kind == "consumption"
    assert found.sentences == [
        "Always above zero, with a daily rhythm that explains 76 % of the variation: highest 18–20 h, lowest around "
        "00 h. This looks like consumption (import register).",
        "Base load 0.0225 kWh per 15 min (90 W), 22 % of the total.",
        "A day brings 9.86 kWh (median), from 8.37 to 11.3.",
    ]
    assert found.figures.base_load is not None
    assert found.figures.base_load.watts == pytest.approx(90, abs=0.5)
    assert found.figures.register is not None
    assert found.figures.register.code == "1-0:1.29.0*255"
    assert [period.name for period in found.figures.periods][:1] == ["day"]


def test_the_solar_roof() -> None:
    found = describe(*meter(SOLAR_MUID, EXPORT), tz=ZONE, unit="kWh", name=EXPORT)
    assert found.kind == "generation"
    assert found.sentences == [
        "Zero every night (19 to 06 h: 54 % of all values) and a bell by day that peaks around 12 h: this looks like "
        "solar generation (export register).",
        "Largest value 0.836 kWh.",
        "A day brings 9.39 kWh (median), from 1.64 to 21.6; the weather decides, no day of the week does.",
    ]


@pytest.mark.parametrize("days", [10, 60, 365])
@pytest.mark.parametrize("name", [EXPORT, None])
def test_a_roof_is_known_from_days_to_a_year(days: int, name: str | None) -> None:
    assert describe(*meter(SOLAR_MUID, EXPORT, days), tz=ZONE, unit="kWh", name=name).kind == "generation"
    assert describe(*meter(HOUSEHOLD_MUID, IMPORT, days), tz=ZONE, unit="kWh").kind == "consumption"


@pytest.mark.parametrize(("tz", "clock"), [("America/New_York", "06:44"), ("Asia/Tokyo", "20:14")])
def test_a_wrong_time_zone_is_said(tz: str, clock: str) -> None:
    found = describe(*meter(SOLAR_MUID, EXPORT), tz=tz, unit="kWh", name=EXPORT)
    assert found.kind == "generation"
    assert found.sentences[-1] == (
        f"The middle of its day is at {clock} in the time zone {tz}: the time zone is probably not that of the site."
    )
    assert "probably" not in text(describe(*meter(SOLAR_MUID, EXPORT), tz=ZONE, unit="kWh"))


def test_without_a_zone_the_hours_are_said_to_be_those_of_utc() -> None:
    found = describe(*meter(HOUSEHOLD_MUID, IMPORT), unit="kWh")
    assert "UTC" in found.sentences[-1]


@pytest.mark.parametrize("unit", [None, "EUR", "kWh", "1"])
@pytest.mark.parametrize("closed_on", [(6,), (5, 6)])
def test_a_shop_is_no_solar_roof(unit: str | None, closed_on: tuple[int, ...]) -> None:
    found = describe(*shop(closed_on=closed_on), tz="UTC", unit=unit)
    assert found.kind == ("consumption" if unit == "kWh" else "activity")
    lower = found.figures.week
    assert lower is not None
    assert lower.weekend_ratio == pytest.approx(0.5 if closed_on == (6,) else 0.0, abs=0.05)
    assert f"Weekends are {'50' if closed_on == (6,) else '100'} % lower." in text(found).replace("51 %", "50 %")


def test_a_shop_that_never_closes_counts_customers() -> None:
    assert describe(*shop(closed_on=()), tz="UTC").kind == "activity"


def test_an_inverter_on_standby_is_a_solar_roof_all_the_same() -> None:
    times, values = meter(SOLAR_MUID, EXPORT)
    found = describe(times, np.where(values > 0, values, -0.001), tz=ZONE, unit="kWh")
    assert found.kind == "generation"
    assert found.sentences[0].startswith("Nearly zero every night (19 to 06 h: 5")


def test_weekends_are_tested_over_days_and_not_over_values() -> None:
    """Days that differ at random are alike at weekends, however many values each has."""
    claims = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        days = np.repeat(generator.gamma(20, 0.05, 70), 24)
        values = days * (1 + 0.5 * np.sin(np.arange(24 * 70) / 24 * 2 * np.pi))
        claims += "Weekends" in text(describe(hourly(), values, tz="UTC", unit="kW"))
    assert claims <= 1


def made(name: str) -> Made:
    times = hourly()
    generator = np.random.default_rng(3)
    n = len(times)
    values = {
        "counter": lambda: np.cumsum(generator.gamma(2, 2, n)),
        "temperature": lambda: 15 - 5 * np.cos((np.arange(n) - 3) / 24 * 2 * np.pi) + generator.normal(0, 1, n),
        "on_off": lambda: (generator.random(n) < 0.3).astype(float),
        "random_walk": lambda: np.cumsum(generator.normal(size=n)),
        "noise": lambda: generator.normal(5, 1, n),
        "persistent": lambda: autoregressive(0.9, n),
        "intermittent": lambda: np.where(generator.random(n) < 0.2, generator.gamma(2, 2, n), 0),
        "constant": lambda: np.full(n, 2.0),
        "too_short": lambda: np.arange(7.0),
        "empty": lambda: np.zeros(0),
    }[name]()
    return times[: len(values)], values


@pytest.mark.parametrize(
    ("kind", "unit", "beginning"),
    [
        ("counter", "kWh", "It never falls: a running total, 9"),
        ("temperature", "°C", "A daily cycle between 9."),
        ("on_off", None, "Two values only, 0 and 1: on or off. It is 1 for 31 % of the values, and changes 10 times"),
        ("random_walk", None, "It wanders without returning to a level: the last value is the best guess of the next."),
        ("noise", "V", "Each value is independent of those before: noise around 5"),
        ("persistent", None, "Neighbouring values are alike (autocorrelation 0.9"),
        ("intermittent", "mm", "Zero for 79 % of the values; the others are"),
        ("constant", "kWh", "Constant at 2 kWh."),
        ("too_short", None, "7 values are too few to say what this is: at least 8 are needed."),
        ("empty", None, "There is no value."),
    ],
)
def test_made_up_series(kind: str, unit: str | None, beginning: str) -> None:
    found = describe(*made(kind), tz="UTC", unit=unit)
    assert found.kind == kind
    assert text(found).startswith(beginning)
    assert msgspec.json.decode(msgspec.json.encode(found), type=SeriesDescription) == found


def test_every_kind_is_tried_here() -> None:
    tried = {"counter", "temperature", "on_off", "random_walk", "noise", "persistent", "intermittent", "constant"}
    assert set(KINDS) == tried | {"too_short", "empty", "generation", "consumption", "activity", "periodic"}


@pytest.mark.parametrize("seed", range(8))
def test_walks_and_noise_are_never_anything_else(seed: int) -> None:
    generator = np.random.default_rng(100 + seed)
    assert describe(hourly(), generator.normal(size=24 * 70)).kind == "noise"
    assert describe(hourly(), np.cumsum(generator.normal(size=24 * 70))).kind == "random_walk"


def test_a_counter_that_began_anew() -> None:
    values = np.cumsum(np.random.default_rng(1).gamma(2, 2, 24 * 70))
    values[900:] -= values[900]
    found = describe(hourly(), values, unit="kWh", name="1-0:1.8.0*255")
    assert found.kind == "counter"
    assert text(found).startswith("It hardly ever falls, and then begins anew: a running total, 9")
    assert "1-0:1.8.0*255 says: active energy, import, a reading that only rises" in text(found)


def test_a_machine_repeats_within_milliseconds() -> None:
    at = np.arange(4_000)
    values = np.sin(at / 12.5 * 2 * np.pi) + np.random.default_rng(1).normal(0, 0.2, 4_000)
    found = describe(at * 10**6, values)
    assert found.kind == "periodic"
    assert found.sentences == ["It repeats every 12.5 ms, which explains 93 % of the variation about its trend."]


def test_a_trend_is_said_and_a_level_is_not() -> None:
    noise = np.random.default_rng(1).normal(size=24 * 70)
    assert "Over the whole time it rises by 0.241 a day." in text(describe(hourly(), np.arange(24 * 70) * 0.01 + noise))
    assert "Over the whole time" not in text(describe(hourly(), noise))


def test_gaps_are_said() -> None:
    times, values = meter(HOUSEHOLD_MUID, IMPORT)
    kept = (np.arange(len(times)) < 2_000) | (np.arange(len(times)) >= 2_000 + 96 * 6)
    found = describe(times[kept], values[kept], tz=ZONE, unit="kWh")
    assert found.kind == "consumption"
    assert found.sentences[-1] == "10 % of the expected values are missing; the longest gap is 6 days."


def test_an_uneven_series_is_described_by_its_hours() -> None:
    generator = np.random.default_rng(1)
    times = np.sort(generator.integers(0, 60 * 24 * HOUR_NS, 9_000)) + instant("2024-01-01")
    values = 5 + np.sin(times / (24 * HOUR_NS) * 2 * np.pi) + generator.normal(0, 0.3, 9_000)
    found = describe(times, values, tz="UTC", unit="kW")
    assert (found.kind, found.figures.sampling, found.figures.interval) == ("consumption", "hour", None)
    sparse = describe(np.cumsum(generator.integers(1, 10**16, 200)), generator.normal(size=200))
    assert (sparse.kind, sparse.figures.memory) == ("persistent", None)
    assert "every=" in text(sparse)


@pytest.mark.parametrize(
    ("name", "code", "direction", "is_counter"),
    [
        ("0100010800FF", "1-0:1.8.0*255", "import", True),
        ("2.8.0", "2.8.0", "export", True),
        ("1-0:2.29.0*255", "1-0:2.29.0*255", "export", False),
        ("1-0:16.7.0", "1-0:16.7.0", None, False),
    ],
)
def test_register_codes(name: str, code: str, direction: str | None, is_counter: bool) -> None:
    register = describe(hourly(2), np.arange(48.0), name=name).figures.register
    assert register is not None
    assert (register.code, register.direction, register.is_counter) == (code, direction, is_counter)


@pytest.mark.parametrize("name", [None, "temperature", "1.2", "7-0:3.0.0", "deadbeef0000", "1.8", "999.8.0"])
def test_names_that_are_no_register(name: str | None) -> None:
    assert describe(hourly(2), np.arange(48.0), name=name).figures.register is None


@pytest.mark.parametrize("factor", [1e300, 1e-300, -1.0])
def test_awkward_values_have_a_description_without_a_warning(factor: float) -> None:
    times, values = shop()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kept in (slice(None), slice(0, 9), slice(0, 30), slice(0, 1)):
            found = describe(times[kept], values[kept] * factor, unit="kWh")
            assert found.sentences
            msgspec.json.encode(found)
        assert describe(times, np.full(len(times), math.nan)).kind == "empty"


def test_days_that_are_all_alike_have_a_total() -> None:
    values = np.array([4.0, 6, 7, 5, 2, 2] * 16)
    times = 1_767_225_600 * 10**9 + np.arange(96) * 3600 * 10**9
    assert describe(times, values, unit="kW").sentences


def test_an_uneven_series_whose_values_follow_each_other_is_no_noise() -> None:
    """A wave of an hour, a value at some instant of every minute: means of hours are alike by chance only."""
    generator = np.random.default_rng(1)
    minutes = np.arange(2_000)
    times = minutes * 60 * 10**9 + generator.integers(0, 59 * 10**9, 2_000)
    found = describe(times, np.sin(minutes / 10))
    assert (found.kind, found.figures.sampling) == ("periodic", "1m")
    fast = describe(times // 6_000, np.sin(minutes / 10))
    assert (fast.kind, fast.figures.sampling) == ("periodic", "10ms")


def test_noise_that_was_seen_by_the_hour_is_that_of_hours() -> None:
    generator = np.random.default_rng(1)
    times = np.sort(generator.integers(0, 60 * 24 * HOUR_NS, 9_000))
    found = describe(times, generator.normal(size=9_000))
    assert (found.kind, found.figures.sampling) == ("noise", "hour")
    assert found.sentences[0].startswith("Each mean of an hour is independent")
