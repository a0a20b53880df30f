"""When a source is due next. Pure: a clock's reading in, an instant out."""

from datetime import UTC, datetime, tzinfo
from functools import cached_property

import msgspec
from cronsim import CronSim

from tidemill.model.time import NS_PER_S
from tidemill.model.zones import zone


class Every(msgspec.Struct, frozen=True):
    """So many seconds after the last poll ended."""

    seconds: float


class Cron(msgspec.Struct, frozen=True, dict=True):
    """At the times of a cron expression on the clocks of a zone. What a change of those clocks leaves out happens right
    after it, what it repeats happens once (hours given as `*` follow the elapsed time instead), as with Debian's cron.
    """

    text: str
    tz: str = "UTC"

    def due_ns(self, after_ns: int) -> int:
        """The first instant of the schedule after this one."""
        moment = datetime.fromtimestamp(after_ns // NS_PER_S, self._zone)
        return int(next(CronSim(self.text, moment)).timestamp()) * NS_PER_S

    @cached_property
    def _zone(self) -> tzinfo:
        found = UTC if self.tz == "UTC" else zone(self.tz)
        if found is None:
            raise ValueError(f"source.tz: there is no zone '{self.tz[:60]}'")
        return found


Schedule = Every | Cron
