"""The sentences of a description, with the figures of the series filled in."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tidemill.analysis.description.figures import DayFigures, Figures, NightFigures
from tidemill.analysis.description.rules import Kind, day_share, differs_at_weekends, rhythm_share
from tidemill.analysis.words import (
    duration_text,
    hour_text,
    hours_text,
    number_text,
    percent_text,
    range_text,
    with_unit,
)

_NOON: Final = (10.5, 14.5)  # where the middle of a day of sunshine is, on the clock of its site
_LEVELLESS: Final = {"empty", "too_short", "constant", "on_off", "counter", "generation", "random_walk"}
_OF_HOURS: Final = {"generation", "consumption", "temperature", "activity"}
_INCOMPLETE: Final = 0.98
_SPANS: Final = (("year", 365.2425), ("day", 1.0), ("hour", 1 / 24))
_LEVEL: Final = 0.5  # of the spread must a trend move the level over the whole span, to be said


class SpokenSeries(msgspec.Struct, frozen=True):
    """What is spoken of: the figures of a series, the zone of its hours, and its unit."""

    figures: Figures
    tz: str | None
    unit: str | None

    def amount(self, number: float | None, digits: int = 3) -> str:
        """A number with the unit of the series."""
        return with_unit("unknown" if number is None else number_text(number, digits), self.unit)


def sentences(kind: Kind, series: SpokenSeries) -> list[str]:
    """What is to be said of a series of a kind: what it is, then what the zone, the register and gaps add."""
    figures = series.figures
    said = list(_SENTENCES[kind](series))
    if kind not in _LEVELLESS:
        said += _trend(series)
    if figures.register is not None and kind not in {"empty", "generation", "consumption"}:
        said.append(_register(figures))
    if figures.day is not None and series.tz is None and kind in _OF_HOURS:
        said.append("The hours are those of UTC, because no time zone is given.")
    if figures.coverage is not None and figures.coverage < _INCOMPLETE and figures.longest_gap_s is not None:
        missing, longest = percent_text(1 - figures.coverage), duration_text(figures.longest_gap_s)
        said.append(f"{missing} of the expected values are missing; the longest gap is {longest}.")
    return said


def _register(figures: Figures) -> str:
    register = figures.register
    assert register is not None
    direction = f", {register.direction}" if register.direction else ""
    reading = "a reading that only rises" if register.is_counter else "the amount of each period"
    return f"Its register code {register.code} says: {register.quantity}{direction}, {reading}."


def _trend(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    slope, stddev = figures.trend_per_day, figures.stddev
    if slope is None or stddev is None or figures.from_ns is None or figures.to_ns is None:
        return
    days = (figures.to_ns - figures.from_ns) / 86_400e9
    if abs(slope) * days < _LEVEL * stddev:
        return
    name, span = next(((name, length) for name, length in _SPANS if days >= 2 * length), ("second", 1 / 86_400))
    direction = "rises" if slope > 0 else "falls"
    yield f"Over the whole time it {direction} by {series.amount(abs(slope) * span)} a {name}."


def _empty(_: SpokenSeries) -> Iterator[str]:
    yield "There is no value."


def _too_short(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    values = "1 value is" if figures.count == 1 else f"{figures.count} values are"
    yield f"{values} too few to say what this is: at least 8 are needed."


def _constant(series: SpokenSeries) -> Iterator[str]:
    yield f"Constant at {series.amount(series.figures.min)}."


def _on_off(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    low, high, mean = figures.min or 0.0, figures.max or 0.0, figures.mean or 0.0
    share = (mean - low) / (high - low)
    changes = number_text(figures.changes_per_day or 0, 2)
    yield f"Two values only, {number_text(low)} and {number_text(high)}: on or off."
    yield f"It is {number_text(high)} for {percent_text(share)} of the values, and changes {changes} times a day."


def _counter(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    falls = "It never falls" if not figures.falling_share else "It hardly ever falls, and then begins anew"
    yield f"{falls}: a running total, {series.amount(figures.per_day)} a day. Ask for `agg=increase`."


def _generation(series: SpokenSeries) -> Iterator[str]:
    figures, day = series.figures, series.figures.day
    assert day is not None and day.night is not None
    exports = figures.register is not None and figures.register.direction == "export"
    hours = hours_text(day.night.from_hour, day.night.to_hour, " to ")
    register = " (export register)" if exports else ""
    exact = figures.zero_share or 0.0
    is_exact = exact >= 0.9 * day.night.zero_share
    zero, share = ("Zero", exact) if is_exact else ("Nearly zero", day.night.zero_share)
    what = "solar radiation" if figures.measure == "irradiance" else "solar generation"
    yield (
        f"{zero} every night ({hours}: {percent_text(share)} of all values) and a bell by day that "
        f"peaks around {hour_text(day.night.middle_hour)}: this looks like {what}{register}."
    )
    yield f"Largest value {series.amount(figures.max)}."
    yield f"{_totals(day)}; the weather decides, no day of the week does."
    yield from _wrong_zone(day.night, series.tz)


def _wrong_zone(night: NightFigures, tz: str | None) -> Iterator[str]:
    if not _NOON[0] <= night.middle_hour <= _NOON[1]:
        where = f"the time zone {tz}" if tz else "UTC"
        yield (
            f"The middle of its day is at {_clock_text(night.middle_hour)} in {where}: "
            "the time zone is probably not that of the site."
        )


def _clock_text(hour: float) -> str:
    minutes = round(hour * 60) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _totals(day: DayFigures) -> str:
    low, dash, high = range_text(day.total_min or 0, day.total_max or 0).partition("–")
    median = with_unit(number_text(day.total_median or 0), day.total_unit)
    return f"A day brings {median} (median), from {low} to {high}" if dash else f"Every day brings {median}"


def _consumption(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    imports = figures.register is not None and figures.register.direction == "import"
    yield f"{_rhythm(series)}. This looks like consumption{' (import register)' if imports else ''}."
    if figures.base_load is not None and figures.base_load.value > 0:
        yield _base_load(series)
    if figures.day is not None and figures.day.total_median is not None:
        yield f"{_totals(figures.day)}."
    yield from _weekend(series)


def _base_load(series: SpokenSeries) -> str:
    figures = series.figures
    base = figures.base_load
    assert base is not None
    per = ""
    if figures.measure == "energy" and figures.interval_s:
        per = f" per {duration_text(figures.interval_s).removeprefix('1 ')}"
    watts = f" ({_watts_text(base.watts)})" if figures.measure == "energy" and base.watts is not None else ""
    return f"Base load {series.amount(base.value)}{per}{watts}, {percent_text(base.share)} of the total."


def _watts_text(watts: float) -> str:
    if watts >= 1e6:
        return f"{number_text(watts / 1e6)} MW"
    return f"{number_text(watts / 1e3)} kW" if watts >= 1e4 else f"{number_text(watts)} W"


def _rhythm(series: SpokenSeries) -> str:
    figures, day = series.figures, series.figures.day
    above = "Always above zero" if (figures.min or 0.0) > 0 else "Never below zero"
    if day_share(figures) == 0:
        share = percent_text(rhythm_share(figures))
        return f"{above}, with a weekly rhythm that explains {share} of the variation"
    text = f"{above}, with a daily rhythm that explains {percent_text(day_share(figures))} of the variation"
    if day is None:
        return text
    return f"{text}: highest {hours_text(day.peak_from, day.peak_to)}, lowest around {hour_text(day.low_hour)}"


def _weekend(series: SpokenSeries) -> Iterator[str]:
    if differs_at_weekends(series.figures):
        week = series.figures.week
        assert week is not None and week.weekend_ratio is not None
        change = week.weekend_ratio - 1
        yield f"Weekends are {percent_text(abs(change))} {'higher' if change > 0 else 'lower'}."


def _temperature(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    day, share = figures.day, day_share(figures)
    if day is not None and share > 0:
        low, high = (day.hour_means[hour] for hour in (day.low_hour, day.peak_hour))
        yield (
            f"A daily cycle between {series.amount(low)} around {hour_text(day.low_hour)} and {series.amount(high)} "
            f"around {hour_text(day.peak_hour)}; it explains {percent_text(share)} of the variation."
        )
    yield from (f"A yearly cycle explains {percent_text(p.share)} of it." for p in figures.periods if p.name == "year")
    yield f"It lies between {series.amount(figures.min)} and {series.amount(figures.max)}."


def _activity(series: SpokenSeries) -> Iterator[str]:
    yield f"{_rhythm(series)}. This looks like human activity."
    yield from _weekend(series)


def _periodic(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    by_share = sorted(zip(figures.periods, figures.period_s, strict=True), key=lambda pair: -pair[0].share)
    for n, (period, seconds) in enumerate(by_share):
        every = f"every {period.name}" if period.name != "cycle" else f"every {duration_text(seconds)}"
        explains = f"which explains {percent_text(period.share)} of the variation about its trend"
        yield (
            f"It repeats {every}, {explains}." if n == 0 else f"It also repeats {every} ({percent_text(period.share)})."
        )
    yield from _weekend(series)


def _intermittent(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    zero = figures.zero_share or 0.0
    mean, most = series.amount((figures.mean or 0.0) / (1 - zero)), series.amount(figures.max)
    yield f"Zero for {percent_text(zero)} of the values; the others are {mean} on average, {most} at most."


def _random_walk(series: SpokenSeries) -> Iterator[str]:
    yield "It wanders without returning to a level: the last value is the best guess of the next."


def _noise(series: SpokenSeries) -> Iterator[str]:
    figures = series.figures
    kind = {None: "value", "hour": "mean of an hour", "day": "mean of a day"}
    each = kind.get(figures.sampling, f"mean of {figures.sampling}")
    yield (
        f"Each {each} is independent of those before: noise around {series.amount(figures.mean)} with a standard "
        f"deviation of {series.amount(figures.stddev)}."
    )


def _persistent(series: SpokenSeries) -> Iterator[str]:
    figures, memory = series.figures, series.figures.memory
    if memory is None:
        yield "The times are too uneven to say how values depend on each other: ask for windows with `every=`."
        return
    if memory.acf1 < 0:
        yield "A high value is followed by a low one; there is no rhythm."
        return
    lasts = f"after {duration_text(memory.lasts_s)} little of a value is left" if memory.lasts_s else "for very long"
    yield f"Neighbouring values are alike (autocorrelation {number_text(memory.acf1, 2)}); {lasts}. There is no rhythm."
    yield f"It lies between {series.amount(figures.min)} and {series.amount(figures.max)}."


_SENTENCES: Final[dict[Kind, Callable[[SpokenSeries], Iterator[str]]]] = {
    "empty": _empty,
    "too_short": _too_short,
    "constant": _constant,
    "on_off": _on_off,
    "counter": _counter,
    "generation": _generation,
    "consumption": _consumption,
    "temperature": _temperature,
    "activity": _activity,
    "periodic": _periodic,
    "intermittent": _intermittent,
    "random_walk": _random_walk,
    "noise": _noise,
    "persistent": _persistent,
}
