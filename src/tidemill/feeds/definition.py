"""A feed definition as data: the structs that a feed's TOML becomes. Frozen, checked once by `load.py`, trusted after.

A feed says how bytes become points: input > tags, attributes, fields, labels > time > rules > duplicates > shape >
rollups, and how long points stay. The structs hold no code to run; `decode`, `rules` and `mill` read them.
Paths (`feeds/paths.py`) are relative to one record. Durations are texts such as `15m` (model/time.py).
"""

from typing import Any, Final, Literal

from tidemill.checks.check import Check, FeedColumns
from tidemill.checks.library import checks_by_name, compile_check
from tidemill.feeds.convert import Table
from tidemill.feeds.members import Attribute, Field, Tag
from tidemill.feeds.source import Source
from tidemill.feeds.time_policy import TimePolicy

__all__ = ["Attribute", "Feed", "Field", "Tag"]

NotExact = Literal["reject", "flag", "round"]
SUMMARY: Final = ("mean", "stddev", "stddev_pop", "count")  # the fields of shape `summary`


class Layout(Table, frozen=True):
    """Binary records of a fixed size, one after the other; a payload is a header (`header_bytes`, may be 0) and any
    number of records of `record_bytes` each. `at`, `in` and `type` of [time], tags, attributes and fields say which
    bytes hold them; all other bytes are ignored. A payload of any other size is a fault, `wrong_size`. The time is an
    integer or `float64` (`type`) counted in the unit of its `format` (`unix_s` ...), or the time of receipt. Faults
    name a record and its member: `$[3].level`. The ledger keeps a rejected record's bytes in hexadecimal."""

    record_bytes: int
    header_bytes: int = 0


class Csv(Table, frozen=True):
    """How CSV is written, in the format `csv` and only there. `columns` are the names of the columns; without them the
    first line has them. `decimal` is what is before the decimals of fields of type `number` and of registers."""

    separator: Literal[",", ";", "\t", "|"] = ","
    decimal: Literal[".", ","] = "."
    columns: tuple[str, ...] = ()


class Input(Table, frozen=True):
    """How a payload splits into records.

    `formats`: `json` and `ndjson`; or one of `binary` (records of a fixed [input.layout]), `base64` and `hex` (such
    bytes as text, spaces and line breaks ignored), whatever content type the payload has; or formats of installed
    decoders (entry-point group `tidemill.decoders`).
    `records` is the path of the record, or of the array of records, in a JSON document; with `[*]` and `.*` it leads to
    records in groups and under keys (all forms are in [paths.md](paths.md)). `columns` instead is the path of an object
    of parallel arrays: item n of each array belongs to record n, and a member that is no array holds for each record
    (tags, attributes, units and factors of fields, the name of a register and what [time] reads, no fields). Arrays
    that the feed reads have one length. An item whose fields are all null is no record, unless all fields are optional.
    `on_fault` is the effect of a record that breaks the contract (not JSON, missing, wrong type, out of range, not
    finite): `refuse` answers 400 at once and keeps bytes and reasons in the ledger; `reject` takes the payload and
    rejects the record in the mill. A payload without records is such a fault for `refuse`, unless the feed has a
    source, which may have no data.

    `not_exact`: the effect of an integer that a double, which every value becomes, cannot hold exactly (beyond 2^53
    most are such), in whatever format and type it comes, before scale and unit. `reject` makes it a fault of the
    record; `flag` keeps the nearest double, and its points have the mark `not_exact`; `round` keeps the nearest double.
    Numbers with decimals or an exponent are always the nearest double.

    `csv` (see [input.csv]), `arrow` (a stream of Arrow IPC) and `parquet` are tables: a row is a record, a column its
    member of that name, an empty cell null. Say by the content type which it is, if a feed takes several formats.

    `open`: an open feed, whose records bring their name, tags and fields with them, in the formats `line_protocol`,
    `ndjson`, `csv`, `arrow` and `parquet`. It has an empty [registers], and neither tags, attributes, labels nor
    fields; the name of a record is the tag `_measurement`. `POST /v1/points` makes the definition of an open feed at
    its first payload.
    """

    formats: tuple[str, ...] = ("json", "ndjson")
    records: str = "$"
    columns: str | None = None
    on_fault: Literal["refuse", "reject"] = "refuse"
    not_exact: NotExact = "reject"
    open: bool = False
    layout: Layout | None = None
    csv: Csv = Csv()

    @property
    def root(self) -> str:
        """The path of what holds the records: a record, their array, or the object of their arrays."""
        return self.records if self.columns is None else self.columns


class Registers(Table, frozen=True):
    """Fields that are not known beforehand: every key of the record that is none of `except_keys` is a number field of
    that name (meters: OBIS codes). Or each record has one field: its name at `name_path` and its number at `value_path`
    (`{"channel": "pm10", "value": 7}`); a record without the number, or with null, has no value.

    `texts` says what becomes of a member that is no number (a text, true or false, an array, an object), beside others
    that are: `flag` passes over it, and the points of the record have the mark `register_no_number`; `attribute` keeps
    texts, true and false as attributes of the record's points, under the member's name, and passes over arrays and
    objects; `reject` makes it a fault of the record. A record without any number is a fault, unless all its registers
    are null. With `number_texts` a text with a number is that number, written as in a field of type `text_number`
    (`decimal`, `thousands`); with `booleans` true is 1 and false is 0."""

    except_keys: tuple[str, ...] = ()
    name_path: str | None = None
    value_path: str | None = None
    unit: str | None = None
    texts: Literal["flag", "attribute", "reject"] = "flag"
    number_texts: bool = False
    decimal: Literal[".", ","] = "."
    thousands: Literal[" ", ".", ",", "'", "_"] | None = None
    booleans: bool = False

    @property
    def of_long_format(self) -> bool:
        """Whether each record has one register, which it names."""
        return self.name_path is not None


class Labels(Table, frozen=True):
    """A list of words in a record that rules may look at and that is not part of any identity (telemetry's `tags`)."""

    path: str
    required: bool = False


class Rule(Table, frozen=True):
    """A named check of `checks/`: `check` is its name, `reason` its reason code (default: the check's own), `options`
    are the check's options (for instance `{ max_age = "1h" }`).

    `action` is the effect on a record that breaks the rule: `reject` (no points, a row in the ledger), `flag` (the
    record is kept, and its points have the reason as a mark that queries can filter on) or `refuse` (the payload is
    answered 400 at once; a payload of a source, where no client waits for an answer, has the record rejected).
    """

    check: str
    reason: str | None = None
    action: Literal["reject", "flag", "refuse"] = "reject"
    options: dict[str, Any] = {}

    @property
    def code(self) -> str:
        """The reason code of a record that breaks the rule."""
        return self.reason or checks_by_name()[self.check].reason

    def compiled(self) -> Check:
        """The rule's check with its options. Never raises for a rule of a feed that `load_feed` returned."""
        return compile_check(self.check, self.options)


class Shape(Table, frozen=True):
    """What a record becomes. `points`: one point a field. `summary`: mean, stddev, stddev_pop and count of the one
    `numbers` field. `samples`: the payload is one evenly or unevenly sampled series (contract `signals`)."""

    kind: Literal["points", "summary", "samples"] = "points"


class Rollup(Table, frozen=True):
    """Aggregates over fixed UTC windows, recomputed from points for exactly the windows that a batch affects.

    `interval` is the time from one point to the next, if it is known (else it is learnt from the points); it gives the
    number of points that a window should hold. A point is late if it was received more than `late_after` after the end
    of its window.
    """

    every: str
    interval: str | None = None
    late_after: str = "1h"
    aggregates: tuple[Literal["mean", "min", "max", "sum", "count"], ...] = ("mean",)


class RetentionPolicy(Table, frozen=True):
    """Points expire so long after they were *received* (None: never). `seal_rollups`: a window is sealed when its
    points expire: its rollup stays for good, and later records for it are rejected `window_sealed`."""

    points: str | None = None
    seal_rollups: bool = False


class Definition(Table, frozen=True):
    """A feed definition without its source: what everybody who may read the feed sees."""

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
    duplicates_by: tuple[Literal["time", "local_time"], ...] = ("time",)
    shape: Shape = Shape()
    rollups: Rollup | None = None
    retention: RetentionPolicy = RetentionPolicy()


class Feed(Definition, frozen=True):
    """A feed definition. `name` is unique within a tenant; `version` is given by the catalog.

    `duplicates` decides between records of one series at one time: the `last` submitted is current, the `first` is, or
    all are kept (`keep`). `duplicates_by = ["time", "local_time"]` (with `first`) takes records also for the same if
    the local times that were sent are the same and their zones differ; a time with an offset is no local time. A record
    is a duplicate if any earlier one has its time or its local time, also one that is a duplicate itself. Local times
    are compared as long as points are kept.
    """

    source: Source | None = None

    @property
    def without_source(self) -> Definition:
        """The part that may be shown: a source may hold secrets."""
        return Definition(**{name: getattr(self, name) for name in Definition.__struct_fields__})

    @property
    def columns(self) -> FeedColumns:
        """The columns that checks can read from the feed's records."""
        numbers = tuple(name for name, field in self.fields.items() if not field.is_array)
        return FeedColumns(
            fields=SUMMARY if self.shape.kind == "summary" else numbers,
            tags=tuple(self.tags),
            attributes=tuple(self.attributes),
            labels=self.labels is not None,
            registers=self.registers is not None,
        )

    @property
    def first_wins(self) -> bool:
        """Whether the first submitted of several points of a series at the same instant is the current one."""
        return self.duplicates == "first"

    @property
    def compares_local_times(self) -> bool:
        """Whether records of one series are duplicates also by their local time as it was sent, whatever its zone."""
        return "local_time" in self.duplicates_by
