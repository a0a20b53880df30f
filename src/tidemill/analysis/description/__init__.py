"""What a series is, in words and figures: see `describe`."""

from tidemill.analysis.description.description import KINDS, SeriesDescription, describe
from tidemill.analysis.description.figures import DayFigures, Figures, Register, WeekendFigures

__all__ = ["KINDS", "DayFigures", "Figures", "Register", "SeriesDescription", "WeekendFigures", "describe"]
