"""What a feed is, as data: the structs that a feed's TOML becomes. Frozen, checked once by `load.py`, trusted after.

A feed says how bytes become points: input > tags, attributes, fields, labels > time > rules > duplicates > shape >
rollups, and for how long they stay. It names nothing that runs; `decode`, `rules` and `mill` read it.
Paths are `$`, `$.name` or `$.name.other`, relative to one record. Durations are texts such as `15m` (model/time.py).
"""

from typing import Any, Literal

from tidemill.feeds.source import Source
from tidemill.feeds.table import Table

Format = Literal["json", "ndjson"]


class Input(Table, frozen=True):
    """How a payload splits into records.

    `records` is where the record, or the array of records, is in a JSON document. `on_fault` says what a record that
    breaks the contract (not JSON, missing, wrong type, out of range, not finite) leads to: `refuse` answers 400 at once
    and keeps bytes and reasons in the ledger; `reject` takes the payload and rejects the record in the mill. To hold no
    record at all is such a fault for `refuse`, unless the feed has a source: that may have nothing to give.
    """

    formats: tuple[Format, ...] = ("json", "ndjson")
    records: str = "$"
    on_fault: Literal["refuse", "reject"] = "refuse"


class TimePolicy(Table, frozen=True):
    """Where a record's time is and how it becomes UTC.

    `format`: `rfc3339`, or a number of `unix_s|unix_ms|unix_us|unix_ns`. An explicit offset always wins. Without one:
    `offset = "required"` makes it a contract fault; else the zone comes from `zone` (IANA name), from `zone_path`
    (a text in the record) or from `zone_position` (paths of latitude and longitude; at sea the nautical zone).
    `gap`: a local time that never was; `fold`: one that was twice. `received` takes the time of receipt instead.
    Times are kept to the nanosecond: further digits of a second are cut in a text, and rounded in a number.
    """

    path: str | None = None
    format: Literal["rfc3339", "unix_s", "unix_ms", "unix_us", "unix_ns", "received"] = "rfc3339"
    offset: Literal["required", "optional"] = "required"
    zone: str | None = None
    zone_path: str | None = None
    zone_position: tuple[str, str] | None = None
    gap: Literal["reject", "shift_forward"] = "reject"
    fold: Literal["earlier", "later", "reject"] = "earlier"


class Tag(Table, frozen=True):
    """A text that is part of a series' identity."""

    path: str
    required: bool = True
    max_length: int = 256


class Attribute(Table, frozen=True):
    """A text that travels with every point of a record and is no part of a series' identity: whatever stands at an
    instant brings its own (a meter reading that is "estimated" gives way to one that is "measured")."""

    path: str
    required: bool = False
    max_length: int = 256


class Field(Table, frozen=True):
    """A measured value. `number`: a finite JSON number. `numbers`: an array of them, at least one (for `summary`).
    `float32_le`: four bytes, as an array of integers 0..255 or as base64. `min` and `max` are inclusive."""

    path: str
    type: Literal["number", "numbers", "float32_le"] = "number"
    required: bool = True
    min: float | None = None
    max: float | None = None
    unit: str | None = None
    description: str | None = None


class Registers(Table, frozen=True):
    """Fields that are not known beforehand: every key of the record that matches none of `except_keys` is a number
    field of that name (meters: OBIS codes)."""

    except_keys: tuple[str, ...]
    unit: str | None = None


class Labels(Table, frozen=True):
    """A list of words in a record that rules may look at and that is not part of any identity (telemetry's `tags`)."""

    path: str
    required: bool = False


class Rule(Table, frozen=True):
    """A named check of `rules/`: `check` is its name, `reason` the code it gives (default: the check's own),
    `options` what it needs (for instance `{ max_age = "1h" }`)."""

    check: str
    reason: str | None = None
    options: dict[str, Any] = {}


class Shape(Table, frozen=True):
    """What a record becomes. `points`: one point a field. `summary`: mean, stddev, stddev_pop and count of the one
    `numbers` field. `samples`: the payload is one evenly or unevenly sampled series (contract `signals`)."""

    kind: Literal["points", "summary", "samples"] = "points"


class Rollup(Table, frozen=True):
    """Aggregates kept over fixed UTC windows, recomputed from points for exactly the windows a batch touched."""

    every: str
    aggregates: tuple[Literal["mean", "min", "max", "sum", "count"], ...] = ("mean",)


class Retention(Table, frozen=True):
    """How long points stay after they were *received* (None: for ever). `seal_rollups`: when a window's points go, its
    rollup stays for good and later records for it are rejected `window_sealed`."""

    points: str | None = None
    seal_rollups: bool = False


class Feed(Table, frozen=True):
    """A feed definition. `name` is unique within a tenant; `version` is given by the catalog."""

    name: str
    title: str = ""
    description: str = ""
    version: int = 0
    input: Input = Input()
    time: TimePolicy = TimePolicy()
    tags: dict[str, Tag] = {}
    attributes: dict[str, Attribute] = {}
    fields: dict[str, Field] = {}
    registers: Registers | None = None
    labels: Labels | None = None
    rules: tuple[Rule, ...] = ()
    duplicates: Literal["first", "last", "keep"] = "last"
    shape: Shape = Shape()
    rollups: Rollup | None = None
    retention: Retention = Retention()
    source: Source | None = None

    @property
    def first_wins(self) -> bool:
        """Whether of two points at one instant the first submitted stays."""
        return self.duplicates == "first"
