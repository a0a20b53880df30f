"""The ways to read a source, one file each: plain or drained, by windows, by pages, through a plug-in."""

from tidemill.sources.steps.choice import step_of
from tidemill.sources.steps.step import SourceStep

__all__ = ["SourceStep", "step_of"]
