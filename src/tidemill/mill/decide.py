"""Decides what becomes of one feed's points in one batch: settled long ago, too late for a sealed window, duplicate,
or stored. Joins what is known, the look-ups and the contest; writes nothing, except that it clears the dead out
of the way.
"""

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import retention, standing
from tidemill.mill.context import MillContext
from tidemill.mill.ledger import DUPLICATE, rejected
from tidemill.mill.replaced import REPLACED, last_wins
from tidemill.rules.duplicates import LOSERS, first_wins

_RECORD = ["seq", "idx"]


class Decision(msgspec.Struct, frozen=True):
    """`points` to store (columns of the shape), `rejections` (REJECTED), `overtaken`: records that stood and lost
    (`rules.duplicates.LOSERS`), `replaced` (REPLACED)."""

    points: pl.DataFrame
    rejections: pl.DataFrame
    overtaken: pl.DataFrame
    replaced: pl.DataFrame


class Decider:
    """Decisions against one store. `known` has every series of the points."""

    def __init__(self, context: MillContext) -> None:
        self._store = context.store
        self._known = context.known
        self._status = context.status

    def decide(self, tenant: str, feed: Feed, points: pl.DataFrame) -> Decision:
        """The fate of every point of the batch that belongs to this feed."""
        points = points.join(self._known.frame(points["series"].unique()), on="series", maintain_order="left")
        offered = points.select(*_RECORD, "series")
        points, gone = self._settle_deleted(tenant, feed, points)
        points, late = self._settle_sealed(tenant, feed, points)
        seqs = points["seq"].unique()
        losers, gave_way = pl.DataFrame(schema=LOSERS), pl.DataFrame(schema=REPLACED)
        if feed.duplicates == "first":
            points, losers = self._first_wins(tenant, points)
        elif feed.duplicates == "last":
            points, gave_way = self._last_wins(tenant, points)
        # One that stood and is applied again in this very batch is counted with its batch, too.
        duplicates = losers.filter(~pl.col("stood") | pl.col("seq").is_in(seqs.implode())).with_columns(
            reasons=pl.lit(["duplicate"]), detail=pl.lit(DUPLICATE)
        )
        return Decision(
            points=points.drop("latest", "deleted_seq", "sealed_until"),
            rejections=rejected([gone, _with_series(late, offered), _with_series(duplicates, offered)]),
            overtaken=losers.filter("stood"),
            replaced=gave_way,
        )

    def _settle_deleted(self, tenant: str, feed: Feed, points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Applied again after they were deleted: no points, and the outcome that they had."""
        points, told = self._settle_buried(tenant, feed, points)
        dead = points.filter(pl.col("seq") <= pl.col("deleted_seq"))
        if dead.is_empty():
            return points, told
        before = standing.earlier_rejections(self._store, tenant, feed.name, dead.filter("anchor"))
        alive = points.filter(pl.col("seq") > pl.col("deleted_seq"))
        return alive.join(before, on=_RECORD, how="anti"), rejected([told, before])

    def _settle_buried(self, tenant: str, feed: Feed, points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Without records that were deleted one by one, or had lost to such; `reasons` of those that were rejected."""
        buried = self._known.buried.records(tenant, feed.name, points["seq"])
        if buried.is_empty():
            return points, points.clear().select(_RECORD)
        points = points.join(buried, on=[*_RECORD, "series"], how="anti")
        records = buried.filter(pl.col("series") == 0)
        told = records.filter(pl.col("reasons").list.len() > 0).join(points.filter("anchor"), on=_RECORD, how="semi")
        return points.join(records, on=_RECORD, how="anti"), told.select(*_RECORD, "reasons")

    def _settle_sealed(self, tenant: str, feed: Feed, points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Records of sealed windows: too late, unless they counted for the window (then the outcome that they had)."""
        if not feed.retention.seal_rollups:
            return points, points.clear().select(_RECORD)
        found = standing.sealed(self._store, tenant, feed, points.filter("anchor"))
        if found.is_empty():
            return points, points.clear().select(_RECORD)
        before = found.filter(pl.col("seq") <= pl.col("sealed_seq"))
        late = found.filter(pl.col("seq") > pl.col("sealed_seq")).select(
            "seq",
            "idx",
            "time",
            reasons=pl.lit(["window_sealed"]),
            detail=pl.lit("the window of this instant is past retention and sealed"),
        )
        rejections = [late]
        if not before.is_empty():
            rejections.append(standing.earlier_rejections(self._store, tenant, feed.name, before))
        return points.join(found, on=_RECORD, how="anti"), rejected(rejections)

    def _first_wins(self, tenant: str, points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The points that stay, and the records that lost."""
        stands = self._standing(tenant, points.filter("anchor"))
        alive = stands.filter(pl.col("seq") > pl.col("deleted_seq"))
        if alive.height < stands.height:
            # Of two the first submitted stays, but this one was deleted: out of the way before its successor comes.
            retention.purge(self._store, tenant, self._known.deleted(points["series"].unique()))
        return first_wins(points, alive)

    def _last_wins(self, tenant: str, points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The points that stay, and the values that were replaced, also by the same value."""
        stands = self._standing(tenant, points)
        alive = stands.filter(pl.col("seq") > pl.col("deleted_seq"))
        kept, gave_way = last_wins(points, alive)
        return kept, self._unheard(tenant, gave_way)

    def _standing(self, tenant: str, points: pl.DataFrame) -> pl.DataFrame:
        """What the store holds at the instants of these points."""
        return standing.standing(self._store, self._status, tenant, points)

    def _unheard(self, tenant: str, gave_way: pl.DataFrame) -> pl.DataFrame:
        """Of replaced values those that are not in the ledger yet."""
        return standing.never_applied(self._store, tenant, gave_way)


def _with_series(lost: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """Records that lost, with the series of the points that they had offered."""
    if lost.is_empty():
        return lost
    of = points.join(lost.select(_RECORD), on=_RECORD, how="semi").group_by(_RECORD).agg("series")
    return lost.join(of, on=_RECORD, how="left")
