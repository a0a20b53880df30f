"""Tidemill: the time-series service that can account for every point."""

__version__ = "0.1.0"
