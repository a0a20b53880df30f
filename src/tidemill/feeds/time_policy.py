"""The [time] of a feed: where a record's time is, how it is written, and how it becomes an instant."""

from typing import Final, Literal

import msgspec

from tidemill.feeds.convert import Table
from tidemill.feeds.members import Part

StepUnit = Literal["ns", "us", "ms", "s", "min", "h", "d"]
UNIX: Final = ("unix_s", "unix_ms", "unix_us", "unix_ns")
NAMED: Final = ("iso8601", "rfc3339", *UNIX, "received")


class Shift(Table, frozen=True):
    """A correction of times that are wrong by a fixed length: `by` is added, a duration such as `7168d` (a receiver
    1024 weeks behind) or `-1h`. It applies only to times `before` and `after` (included) the given ones, and only if
    the time is more than `older_than` before its receipt; without a condition to all times. The conditions apply to the
    clock time as written, before its zone is determined. Points have the flag `shifted`."""

    by: str
    before: str | None = None
    after: str | None = None
    older_than: str | None = None


class TimePolicy(Table, frozen=True):
    """Where a record's time is, and how it is converted to UTC.

    `format` is one format or a list of them, tried in order: `iso8601` is every ISO 8601 text that can be read in one
    way only (`2026-01-31T12:00Z`, `20260131T120000+0100`, `2026-W05-6`; a date alone is the begin of its day);
    `rfc3339` only the texts of RFC 3339 (also without an offset); `unix_s|unix_ms|unix_us|unix_ns` a number, in quotes
    or not; and anything with a `%` is a pattern such as `%d.%m.%Y %H:%M`: `%Y %y` year, `%m %b %B` month, `%d %e` day,
    `%j` day of the year, `%a %A` weekday, `%H %k` hour (`%I` with `%p`), `%M` minute, `%S` second, `%f` its decimals,
    `%z` offset, `%F` `%T` `%R` for `%Y-%m-%d` `%H:%M:%S` `%H:%M`. A text of digits that is a date by `iso8601` and a
    number by another format of the list (`"20260131"`) is refused. `received` takes the time of receipt instead.

    An offset in the time always wins, then one in a member of its own, `offset_path`: a text such as `+01:00`, or a
    number of `offset_unit` (`s`, `min`, `h`), east positive. Without any, `offset = "required"` makes it a contract
    fault; else the zone comes from `zone` (IANA name), from `zone_path` (a text in the record) or from `zone_position`
    (paths of latitude and longitude; at sea the nautical zone). `epoch = "local"`: the numbers count that local wall
    clock and not UTC. `gap`: a local time that did not exist; `fold`: a local time that existed twice; `by_order`
    chooses by the order of a series' records in the payload, else by the points around it that came before: records at
    whose times the first run is stored are the second run, unless they have the very values that are stored. A time
    that neither decides is rejected (`fold_unclear`).

    `stamp = "end"`: a time is the end of the `interval` that it closes (`30m`, `1d`, `1mo`), and points are stored at
    its begin; days and longer are of the calendar of the zone (without one of UTC). `shift` corrects times that are
    wrong by a fixed length.

    With a step the time is that of the first record of its list, and record n is n steps later; no other record needs a
    time. `step` is a duration: `15m`, `1h` are added to the instant; `1d`, `1w`, `1mo`, `1y` move the calendar of the
    zone (without one of UTC). `step_path` is a number in the first record (or beside the arrays of [input.columns]) of
    `step_unit` (`ns`, `us`, `ms`, `s`, `min`, `h`, `d`), or a text such as `15m` or `PT15M` (a day is 24 hours, and
    refused for local times); `rate_path` is a number of records a second. Record n is at the nearest nanosecond, so
    that no error adds up. Zone, `stamp` and `shift` apply to the time of the first record, before steps are added. In a
    binary record the time is then `in` the header, and so are the numbers `step_at` (of `step_type` and `step_unit`) or
    `rate_at` (of `rate_type`).

    Times are kept to the nanosecond, from the digits as they are written: further digits of a second are cut in a text,
    and rounded in a number. In a binary record the time begins `at` a byte and is a number of `type` (`uint32_be` ...),
    see [input.layout].
    """

    path: str | None = None
    at: int | None = None
    in_: Part = msgspec.field(default="record", name="in")
    type: str | None = None
    format: str | tuple[str, ...] = "iso8601"
    epoch: Literal["utc", "local"] = "utc"
    offset: Literal["required", "optional"] = "required"
    offset_path: str | None = None
    offset_unit: Literal["s", "min", "h"] = "s"
    zone: str | None = None
    zone_path: str | None = None
    zone_position: tuple[str, str] | None = None
    stamp: Literal["begin", "end"] = "begin"
    interval: str | None = None
    shift: Shift | None = None
    gap: Literal["reject", "shift_forward"] = "reject"
    fold: Literal["earlier", "later", "reject", "by_order"] = "earlier"
    step: str | None = None
    step_path: str | None = None
    step_at: int | None = None
    step_type: str | None = None
    step_unit: StepUnit | None = None
    rate_path: str | None = None
    rate_at: int | None = None
    rate_type: str | None = None

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats in the order in which they are tried."""
        return (self.format,) if isinstance(self.format, str) else self.format

    @property
    def received(self) -> bool:
        """Whether records take the time of receipt."""
        return self.formats == ("received",)

    @property
    def zoned(self) -> bool:
        """Whether the policy says how to find the zone of a local time."""
        return any(source is not None for source in (self.zone, self.zone_path, self.zone_position))

    @property
    def offset_required(self) -> bool:
        """Whether a time without an offset is a fault."""
        return self.offset == "required" and not (self.epoch == "local" and self.zoned)

    @property
    def steps(self) -> tuple[str, ...]:
        """The keys that say how far records are apart, of which one is enough; () where each record has its time."""
        names = ("step", "step_path", "step_at", "rate_path", "rate_at")
        return tuple(name for name in names if getattr(self, name) is not None)

    @property
    def counted(self) -> bool:
        """Whether some format is a number since the epoch."""
        return any(name in UNIX for name in self.formats)
