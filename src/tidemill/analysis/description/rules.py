"""The rules that say what a series is: the first one that fits its figures. Thresholds are those of trials on simulated
meters, made-up shops and farms, and some 60 real series."""

from collections.abc import Callable
from typing import Final, Literal

from tidemill.analysis.description.figures import Figures
from tidemill.analysis.description.measure import FEWEST_POINTS

Kind = Literal[
    "empty",
    "too_short",
    "constant",
    "on_off",
    "counter",
    "generation",
    "consumption",
    "temperature",
    "activity",
    "periodic",
    "intermittent",
    "random_walk",
    "noise",
    "persistent",
]

_RISING: Final = 0.001  # of the differences of a counter may be below 0: it starts anew
_FEWEST_READINGS: Final = 5  # distinct values of a counter
_DAY_SHARE: Final = 0.05  # of the variance that a rhythm must explain to be spoken of
_BELL: Final = 0.9
_FLAT_BELL: Final = 0.85  # panels that follow the sun have a flat top; for units of energy, power and radiation
_SMOOTH: Final = 1.25
_STANDBY: Final = 0.01  # of the largest value may values be negative
_COUNTS: Final = 1_000  # whole numbers below, without a unit of energy or power, count customers or the like
_DEAD_DAYS: Final = 0.05
_SAME_DAYS: Final = 4.0  # |t| of a day of the week below which the days are alike
_WEEKEND_T: Final = 3.0
_WEEKEND_CHANGE: Final = 0.05
_OFTEN_ZERO: Final = 0.3
_PERIODIC: Final = 0.1
_CLEARLY_PERIODIC: Final = 0.3
_CYCLES: Final = 6
_LIKE_A_WALK: Final = 0.97


def kind_of(figures: Figures) -> Kind:
    """The kind of a series: the first rule that fits; `persistent` fits what is left."""
    return next((kind for kind, fits in RULES if fits(figures)), "persistent")


def day_share(figures: Figures) -> float:
    """How much of the variance the daily rhythm explains; 0 where none was detected."""
    return next((period.share for period in figures.periods if period.name == "day"), 0.0)


def rhythm_share(figures: Figures) -> float:
    """How much of the variance the rhythms of day and week explain."""
    return sum(period.share for period in figures.periods if period.name in {"day", "week"})


def differs_at_weekends(figures: Figures) -> bool:
    """Whether weekends are lower or higher by more than chance and 5 %."""
    week = figures.week
    if week is None or week.weekend_ratio is None:
        return False
    return abs(week.weekend_t) > _WEEKEND_T and abs(week.weekend_ratio - 1) > _WEEKEND_CHANGE


def _never_negative(figures: Figures) -> bool:
    return figures.negative_share == 0


def _is_counter(figures: Figures) -> bool:
    """The differences of a counter are 0 or more; its readings are alike from one to the next."""
    rises = figures.falling_share is not None and figures.falling_share <= _RISING
    smooth = figures.memory is None or figures.memory.acf1 > 0.9
    return rises and _never_negative(figures) and figures.distinct >= _FEWEST_READINGS and smooth


def _is_generation(figures: Figures) -> bool:
    """Zero at night, a smooth bell by day, hardly a day without, and no day of the week that differs: a shop that is
    closed at night has days off, and its days begin and end at once."""
    day, week = figures.day, figures.week
    low, high = figures.min or 0.0, figures.max or 0.0
    if day is None or day.night is None or figures.measure == "temperature" or low < -_STANDBY * high:
        return False
    if figures.measure == "other" and figures.whole_numbers and high < _COUNTS:
        return False
    alike = week is None or week.strongest_t < _SAME_DAYS
    least = _BELL if figures.measure == "other" else _FLAT_BELL
    is_bell = day.night.bell > least and day.night.roughness < _SMOOTH
    return is_bell and alike and day.dead_share < _DEAD_DAYS and not _registers(figures, "import")


def _is_consumption(figures: Figures) -> bool:
    measured = figures.measure in {"energy", "power"} or _registers(figures, "import")
    return (
        measured
        and not _registers(figures, "export")
        and _never_negative(figures)
        and rhythm_share(figures) > _DAY_SHARE
    )


def _registers(figures: Figures, direction: str) -> bool:
    return figures.register is not None and figures.register.direction == direction


def _is_temperature(figures: Figures) -> bool:
    return figures.measure == "temperature" and any(period.name in {"day", "year"} for period in figures.periods)


def _is_activity(figures: Figures) -> bool:
    if figures.measure != "other" or not _never_negative(figures):
        return False
    weekly = any(period.name == "week" for period in figures.periods) or differs_at_weekends(figures)
    return rhythm_share(figures) > _DAY_SHARE and (weekly or (figures.whole_numbers and day_share(figures) > 0))


def _is_periodic(figures: Figures) -> bool:
    """Periods explain a part of the variance; those of no calendar, with fewer than six cycles, a large part."""
    least = _PERIODIC if (figures.zero_share or 0) <= _OFTEN_ZERO else _CLEARLY_PERIODIC
    often = [p.share for p in figures.periods if p.name != "cycle" or p.steps * _CYCLES <= figures.count]
    return sum(often) > least or sum(period.share for period in figures.periods) > _CLEARLY_PERIODIC


def _is_random_walk(figures: Figures) -> bool:
    memory = figures.memory
    return memory is not None and memory.acf1 > _LIKE_A_WALK and memory.steps_are_white


RULES: Final[tuple[tuple[Kind, Callable[[Figures], bool]], ...]] = (
    ("empty", lambda figures: figures.count == 0),
    ("constant", lambda figures: figures.distinct == 1 and figures.count >= FEWEST_POINTS),
    ("too_short", lambda figures: figures.count < FEWEST_POINTS),
    ("on_off", lambda figures: figures.distinct == 2),
    ("counter", _is_counter),
    ("generation", _is_generation),
    ("consumption", _is_consumption),
    ("temperature", _is_temperature),
    ("activity", _is_activity),
    ("periodic", _is_periodic),
    ("intermittent", lambda figures: (figures.zero_share or 0) > _OFTEN_ZERO),
    ("random_walk", _is_random_walk),
    ("noise", lambda figures: figures.memory is not None and figures.memory.is_white),
)
