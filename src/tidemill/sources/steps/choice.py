"""Which step a source takes."""

from tidemill.feeds.source import HTTP
from tidemill.sources.run import SourceRun
from tidemill.sources.steps.pages import PageStep
from tidemill.sources.steps.plain import PlainStep
from tidemill.sources.steps.plugin import PluginStep
from tidemill.sources.steps.step import SourceStep
from tidemill.sources.steps.window_step import WindowStep


def step_of(work: SourceRun) -> SourceStep:
    """The step for this source."""
    pull = work.pull
    if pull.kind != HTTP:
        return PluginStep(work)
    if pull.windows is not None:
        return WindowStep(work, pull.windows)
    if pull.paging is not None:
        return PageStep(work, pull.paging)
    return PlainStep(work)
