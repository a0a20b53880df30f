"""Forecasts with a back-test in the answer: see `forecast`."""

from tidemill.analysis.forecast.answer import BackTest, Forecast, Interval, ModelScore, ModelWeight, Used
from tidemill.analysis.forecast.forecast import FEWEST_POINTS, HORIZONS, MAX_HORIZON, MODELS, forecast

__all__ = [
    "FEWEST_POINTS",
    "HORIZONS",
    "MAX_HORIZON",
    "MODELS",
    "BackTest",
    "Forecast",
    "Interval",
    "ModelScore",
    "ModelWeight",
    "Used",
    "forecast",
]
