"""What a series is, in words and figures: see `describe`."""

from tidemill.analysis.description.description import KINDS, SeriesDescription, describe
from tidemill.analysis.description.figures import (
    BaseLoad,
    DayFigures,
    Figures,
    Memory,
    NightFigures,
    WeekFigures,
)
from tidemill.analysis.description.registers import Register

__all__ = [
    "KINDS",
    "BaseLoad",
    "DayFigures",
    "Figures",
    "Memory",
    "NightFigures",
    "Register",
    "SeriesDescription",
    "WeekFigures",
    "describe",
]
