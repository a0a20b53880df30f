"""What a batch writes to the store, as frames: the result of `decide`. `insert.py` inserts them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.mill.affected import AffectedWindows
from tidemill.mill.known import hash_words
from tidemill.rules.shape import version_of
from tidemill.store.tables import table

VACATED: Final[dict[str, Any]] = {"series": pl.UInt64, "time": pl.Int64}


class ContestWrites(msgspec.Struct, frozen=True, kw_only=True):
    """The writes of points that contend with each other.

    `points`, `series`, `replaced`, `changes`, `submissions`: rows of these tables. `rejections` (REJECTED): all of the
    contest. `superseded`: records that were current and are superseded (`rules.duplicates.SUPERSEDED`): their
    rejections are written before the points. `repointed` (`rules.submissions.REPOINTED`): null where the feed does not
    compare local times. `vacated` (VACATED): the instants of superseded records that get no other point in its place:
    removed before the points are written. `purged`: by series, the payload up to which rows of it are to leave the
    table `points` first.
    `before_points`: `replaced` and `changes` are written before the points, because they are decided from the points
    that are current before. `latest`: `series`, `time` of the points. `windows`: to publish when the points are
    written; null: none.
    """

    points: pl.DataFrame
    series: pl.DataFrame
    replaced: pl.DataFrame
    changes: pl.DataFrame
    rejections: pl.DataFrame
    superseded: pl.DataFrame
    repointed: pl.DataFrame | None
    submissions: pl.DataFrame
    vacated: pl.DataFrame
    purged: Mapping[int, int]
    before_points: bool
    latest: pl.DataFrame
    windows: AffectedWindows | None

    @property
    def supersedes(self) -> bool:
        """Whether records in the store lose what they had: their points, or their winner."""
        return bool(self.superseded.height or (self.repointed is not None and self.repointed.height))

    @property
    def adds_only(self) -> bool:
        """Whether all that is written is new points and their series: nothing is replaced, superseded or published."""
        alone = self.windows is None and not self.before_points and not self.purged
        return alone and not self.supersedes and self.vacated.is_empty()

    @property
    def size_bytes(self) -> int:
        """The size of the rows, about."""
        return int(self.points.estimated_size()) + int(self.replaced.estimated_size())


class Writes(msgspec.Struct, frozen=True, kw_only=True):
    """The writes of one feed's batch. `rejections` (REJECTED): those to list in the ledger, still without their texts;
    `outcomes` (OUTCOMES) of all its payloads."""

    tenant: str
    feed: str
    contests: tuple[ContestWrites, ...]
    rejections: pl.DataFrame
    outcomes: pl.DataFrame

    @property
    def adds_only(self) -> bool:
        """Whether all that is written is new points, their series and the payloads: then inserting them neither needs
        nor changes what the mill remembers."""
        return self.rejections.is_empty() and all(contest.adds_only for contest in self.contests)

    @property
    def size_bytes(self) -> int:
        """The size of the rows, about, without the texts of rejections."""
        return int(self.rejections.estimated_size()) + sum(contest.size_bytes for contest in self.contests)


def point_rows(tenant: str, points: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `points` from `rules.shape.POINTS`."""
    return table("points").rows(points, tenant=tenant, received_at=pl.col("received_ns"))


def replaced_rows(tenant: str, replaced: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `replaced` from `mill.replaced.REPLACED`."""
    version = -version_of("by_seq", "by_idx")
    return table("replaced").rows(replaced, tenant=tenant, received_at=pl.col("received_ns"), version=version)


def series_rows(states: pl.DataFrame, tenant: str, described: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `series` for the new series of `points` and those with a new description, given their description
    by the shape (`rules.shape.SERIES`) and their `known.SERIES_STATES`.

    The row's version is the seq of the payload, so the description of the last payload stays, whatever the order.
    """
    is_new = (pl.col("version") == 0) | pl.col("deleted")
    rows = described.unique("series", keep="last", maintain_order=True).with_columns(new_words=hash_words())
    rows = rows.join(states, on="series").filter(is_new | (pl.col("new_words") != pl.col("words")))
    if rows.is_empty():
        return pl.DataFrame(schema=table("series").columns)
    written = points.group_by("series").agg(pl.col("seq").max().alias("last_seq"), pl.col("received_ns").min())
    rows = rows.join(written, on="series").filter(is_new | (pl.col("last_seq") >= pl.col("version")))
    created = pl.when(pl.col("created_ns") == 0).then("received_ns").otherwise("created_ns")
    return table("series").rows(
        rows,
        tenant=tenant,
        unit=pl.col("unit").fill_null(""),
        description=pl.col("description").fill_null(""),
        deleted=False,
        created_at=created,
        version=pl.col("last_seq"),
    )
