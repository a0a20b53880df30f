"""Computes when the next poll of a source is due. Pure: the time is an argument."""

from datetime import UTC, datetime, tzinfo
from functools import cached_property

import msgspec
from cronsim import CronSim

from tidemill.model.time import NS_PER_S
from tidemill.model.zones import zone


class Every(msgspec.Struct, frozen=True):
    """Due so many seconds after the end of the last poll."""

    seconds: float


class Cron(msgspec.Struct, frozen=True, dict=True):
    """Due at the times of a cron expression on the clocks of a zone. A time that a clock change leaves out is due right
    after the change, and a repeated time is due once (hours given as `*` follow the elapsed time), as in Debian's cron.
    """

    text: str
    tz: str = "UTC"

    def due_ns(self, after_ns: int) -> int:
        """The first instant of the schedule after this one."""
        moment = datetime.fromtimestamp(after_ns // NS_PER_S, self._zone)
        return int(next(CronSim(self.text, moment)).timestamp()) * NS_PER_S

    @cached_property
    def _zone(self) -> tzinfo:
        value = UTC if self.tz == "UTC" else zone(self.tz)
        if value is None:
            raise ValueError(f"source.tz: there is no zone '{self.tz[:60]}'")
        return value


Schedule = Every | Cron
