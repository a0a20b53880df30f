"""The ways to read a source: one URL, windows of time, pages, or a plug-in."""

from tidemill.sources.steps.step import SourceStep, make_step

__all__ = ["SourceStep", "make_step"]
