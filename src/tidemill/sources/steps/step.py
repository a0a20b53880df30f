"""The contract of the ways to read a source, and the choice of one for a source."""

from typing import Protocol

from tidemill.feeds.source import HTTP
from tidemill.sources.source_run import SourceRun
from tidemill.sources.steps.pages import PageStep
from tidemill.sources.steps.plain import PlainStep
from tidemill.sources.steps.plugin import PluginStep
from tidemill.sources.steps.window_step import WindowStep


class SourceStep(Protocol):
    """Reads a source in steps. Between two steps every fetched payload is taken by intake, on its way in the outbox, or
    accounted for by a row of the poll ledger."""

    async def poll_once(self) -> bool:
        """Request the source once (a window: once or more) and handle the answer. Returns whether more data can be had
        at once. Raises PollError if the poll failed; the next call then makes the same request again."""
        ...

    async def close(self) -> None:
        """Release resources: the source is not polled any more."""
        ...


def make_step(run: SourceRun) -> SourceStep:
    """The step for the source of a run."""
    spec = run.spec
    if spec.mqtt is not None:
        from tidemill.sources.steps.mqtt_step import MqttStep  # here: most servers need no client of brokers

        return MqttStep(run, spec.mqtt)
    if spec.kind != HTTP:
        return PluginStep(run)
    if spec.windows is not None:
        return WindowStep(run, spec.windows)
    if spec.paging is not None:
        return PageStep(run, spec.paging)
    return PlainStep(run)
