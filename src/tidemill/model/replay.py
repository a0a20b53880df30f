"""A replay: applies payloads again under another version of their feed. Its request, and its outcome. A kind of job
that the mill runs."""

from typing import ClassVar, Final, Literal

import msgspec

from tidemill.model.job import Job, Role

DRAFT_VERSION: Final = 2**32 - 1  # that stands for a draft, which has no version of its own


class LedgerRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rejected record: the receipt of its payload, and its index in it."""

    receipt: str
    index: int


class RejectionFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Selects payloads with rejected records that match every given field. Times are of receipt, ns UTC, [start,
    end). `items`: these very records."""

    reason: str | None = None
    receipt: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    items: tuple[LedgerRecord, ...] | None = None


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the payloads of a feed by exactly one of three: a range of the time of receipt ([start, end), ns UTC,
    either may be open), their receipts, or their rejections. A range selects payloads that were applied or set aside as
    poison; refused payloads are selected only by their receipts or their rejections.

    `version` is the version of the feed to apply. `dry_run`: compute the difference and write nothing. `draft`: a
    definition that is no version is applied, in a dry run only; `definition` is its text, kept until the replay is
    over, and `version` the one in force."""

    feed: str
    version: int
    dry_run: bool
    start_ns: int | None = None
    end_ns: int | None = None
    receipts: tuple[str, ...] | None = None
    rejections: RejectionFilter | None = None
    draft: bool = False
    definition: str | None = None


class WindowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A rollup window that changes. A mean is null where the window has no points before, or after."""

    series: str
    window_ns: int
    every_s: int
    old_mean: float | None
    new_mean: float | None
    old_count: int
    new_count: int


class PointDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A value that changes: null where there is no value before, or after."""

    series: str
    time_ns: int
    old: float | None
    new: float | None


class ReplayOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay changes, or would change. Counts are of records unless they say otherwise.

    `newly_accepted` counts by the reason of the former rejection, `newly_rejected` by the new reason; a record with two
    reasons counts under both, and once in the totals. `windows` and `points` are those with the largest change (of
    mean, of value), at most a hundred; windows and points that appear or disappear come before all others.
    """

    payloads: int = 0
    records: int = 0
    accepted_before: int = 0
    accepted_after: int = 0
    newly_accepted_total: int = 0
    newly_rejected_total: int = 0
    newly_accepted: dict[str, int] = {}
    newly_rejected: dict[str, int] = {}
    reasons_changed: int = 0
    points_added: int = 0
    points_removed: int = 0
    points_changed: int = 0
    windows_changed: int = 0
    largest_window_change: float | None = None
    largest_point_change: float | None = None
    windows: tuple[WindowDifference, ...] = ()
    points: tuple[PointDifference, ...] = ()


class Replay(Job[ReplayRequest, ReplayOutcome], frozen=True, kw_only=True):
    """A replay as a job; `result` is what it changed, or would change. Readers may see a part of the changes only while
    the state is `publishing`."""

    PREFIX: ClassVar[str] = "replays/"
    ROLE: ClassVar[Role] = "mill"

    kind: Literal["replay"] = "replay"
    result: ReplayOutcome | None = msgspec.field(default=None, name="difference")
