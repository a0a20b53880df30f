"""What a feed is, as data: the structs that a feed's TOML becomes. Frozen, checked once by `load.py`, trusted after.

A feed says how bytes become points: input > tags, attributes, fields, labels > time > rules > duplicates > shape >
rollups, and for how long they stay. It names nothing that runs; `decode`, `rules` and `mill` read it.
Paths are `$`, `$.name` or `$.name.other`, relative to one record. Durations are texts such as `15m` (model/time.py).
"""

from typing import Any, Final, Literal

from tidemill.checks.check import Check, FeedColumns
from tidemill.checks.library import checks, compile_check
from tidemill.feeds.input import Input, Layout
from tidemill.feeds.members import Attribute, Field, Tag
from tidemill.feeds.source import Source
from tidemill.feeds.table import Table
from tidemill.feeds.time_policy import TimePolicy

__all__ = ["Attribute", "Feed", "Field", "Input", "Layout", "Tag"]

SUMMARY: Final = ("mean", "stddev", "stddev_pop", "count")  # the fields of shape `summary`


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
    """A named check of `checks/`: `check` is its name, `reason` the code it gives (default: the check's own),
    `options` what it needs (for instance `{ max_age = "1h" }`).

    `action` says what becomes of a record that breaks it: `reject` (no points, a row in the ledger), `flag` (it is
    kept, and its points carry the reason as a mark that queries can filter on) or `refuse` (the payload is answered
    400 at once; where nobody waits for an answer, as with a source, it rejects).
    """

    check: str
    reason: str | None = None
    action: Literal["reject", "flag", "refuse"] = "reject"
    options: dict[str, Any] = {}

    @property
    def code(self) -> str:
        """The reason code that it gives."""
        return self.reason or checks()[self.check].reason

    def compiled(self) -> Check:
        """Its check with the options. Never raises for a rule of a feed that `load` returned."""
        return compile_check(self.check, self.options)


class Shape(Table, frozen=True):
    """What a record becomes. `points`: one point a field. `summary`: mean, stddev, stddev_pop and count of the one
    `numbers` field. `samples`: the payload is one evenly or unevenly sampled series (contract `signals`)."""

    kind: Literal["points", "summary", "samples"] = "points"


class Rollup(Table, frozen=True):
    """Aggregates kept over fixed UTC windows, recomputed from points for exactly the windows a batch touched.

    `interval` is the time from one point to the next, where it is known (else it is learnt from the points): how many
    a window should hold follows. A point is late when it was received more than `late_after` after its window's end.
    """

    every: str
    interval: str | None = None
    late_after: str = "1h"
    aggregates: tuple[Literal["mean", "min", "max", "sum", "count"], ...] = ("mean",)


class RetentionPolicy(Table, frozen=True):
    """How long points stay after they were *received* (None: for ever). `seal_rollups`: when a window's points go, its
    rollup stays for good and later records for it are rejected `window_sealed`."""

    points: str | None = None
    seal_rollups: bool = False


class Definition(Table, frozen=True):
    """A feed definition without its source, as whoever may read sees it."""

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
    retention: RetentionPolicy = RetentionPolicy()


class Feed(Definition, frozen=True):
    """A feed definition. `name` is unique within a tenant; `version` is given by the catalog."""

    source: Source | None = None

    @property
    def without_source(self) -> Definition:
        """What of it may be shown: a source may hold secrets."""
        return Definition(**{name: getattr(self, name) for name in Definition.__struct_fields__})

    @property
    def columns(self) -> FeedColumns:
        """What its records have for checks to look at."""
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
        """Whether of two points at one instant the first submitted stays."""
        return self.duplicates == "first"
