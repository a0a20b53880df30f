"""When all payloads of a replay went through the rules: what they change, and everything that publishing it needs."""

from typing import Final

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import ledger, rollups
from tidemill.mill.context import MillContext
from tidemill.mill.replay import difference, milled, window_differences
from tidemill.mill.replay.folder import Folder
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.mill.replay.plan import PLACE, Planner, ReplayPlan, joined_rejections, old_points
from tidemill.mill.replay.publish import ledger_rows
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.state import PublishManifest
from tidemill.mill.stored import stored_entry
from tidemill.mill.tombstones import without_deleted
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.replay import Replay, ReplayOutcome

_WINNER: Final = ("winner_seq", "winner_idx")


class Conclusion(msgspec.Struct, frozen=True):
    """A replay's plan; all its rejections now (REJECTED), those of `gone` records, that were deleted and count still;
    the whole ledger of its payloads before; `windows` that it restates (`compare.WINDOW_CHANGES`); what it changes."""

    places: OffsetSet
    plan: ReplayPlan
    rejected: pl.DataFrame
    gone: pl.DataFrame
    old: pl.DataFrame
    windows: pl.DataFrame
    difference: ReplayOutcome


class Concluding:
    """Concludes replays against one store."""

    def __init__(self, context: MillContext, pipeline: TransformPipeline) -> None:
        self._store = context.store
        self._status = context.status
        self._known = context.known
        self._pipeline = pipeline
        self._planner = Planner(context)

    def conclude(self, replay: Replay, feed: Feed, folder: Folder) -> Conclusion:
        """What a replay comes to whose portions are all milled. Writes nothing."""
        offered, counts = milled.joined(folder, "points"), milled.joined(folder, "counts")
        places = OffsetSet(counts["seq"])
        old = self._ledger(replay.tenant, feed.name, places)
        had = old_points(self._store, replay.tenant, feed.name, places)
        plan = self._planner.plan(replay.tenant, feed, places, offered, had)
        self._status.turn()
        rejected = joined_rejections(milled.joined(folder, "rejected").drop("record"), plan)
        tombstones = self._known.tombstones.deleted_records(replay.tenant, feed.name, counts["seq"])
        rejected = without_deleted(rejected, tombstones)
        gone = tombstones.filter((pl.col("series") == 0) & (pl.col("reasons").list.len() > 0)).drop("series")
        moved = window_differences.changed(self._store, self._known, plan, places, tenant=replay.tenant, feed=feed)
        found = difference.difference(
            difference.of_records(counts, _not_recovered(old), rejected),
            difference.of_points(plan),
            difference.of_windows(moved, rollups.every_ns(feed) // 1_000_000_000),
        )
        return Conclusion(places, plan, rejected, ledger.rejected([gone]), old, moved, found)

    def _ledger(self, tenant: str, feed: str, places: OffsetSet) -> pl.DataFrame:
        """All that the ledger says of these payloads, recovered records too."""
        parts = [
            self._store.frame("replay_rejections", tenant=tenant, feed=feed, **one.bound) for one in places.parts()
        ]
        none = [] if parts else [self._store.frame("replay_rejections", tenant=tenant, feed=feed, **places.bound)]
        return pl.concat([*none, *parts])

    def at_idx(self, tenant: str, position: int) -> int:
        """The next free index of changes at this place in the log: beyond all records of a payload."""
        found = self._store.rows("replay_published_at", tenant=tenant, seq=position)[0]["idx"]
        return max(MAX_RECORDS, int(found) + 1)

    def write(
        self, folder: Folder, feed: Feed, found: Conclusion, selection: pl.DataFrame, manifest: PublishManifest
    ) -> None:
        """Everything that publishing needs, on disk: from here on it depends on nothing that it changes itself."""
        plan, old = found.plan, found.old
        told = self._with_records(folder, manifest, found.rejected, old)
        replaced = self._store.frame("replay_replaced", tenant=manifest.tenant, feed=feed.name, **found.places.bound)
        frames = {
            "plan-points": plan.points,
            "plan-series": milled.joined(folder, "series"),
            "plan-withdrawn": plan.withdrawn,
            "plan-superseded": plan.superseded,
            "plan-replaced": plan.replaced,
            "plan-stale": replaced.rename({"time_ns": "time"}).filter(found.places.has()),
            "plan-moved": plan.moved,
            "plan-windows": window_differences.touched(feed, plan),
            "plan-changed-windows": found.windows,
            "plan-ledger": ledger_rows(told, old, milled.joined(folder, "origins"), manifest),
            "plan-ledger-old": old.select("seq").unique(),
            "plan-outcomes": _outcomes(milled.joined(folder, "counts"), selection, found),
        }
        for name, frame in frames.items():
            folder.write(name, frame)

    def _with_records(
        self, folder: Folder, manifest: PublishManifest, rejected: pl.DataFrame, old: pl.DataFrame
    ) -> pl.DataFrame:
        """The rejections with the text of each record: known from the rules or from the ledger, else cut out again."""
        by_rules = milled.joined(folder, "rejected").select(*PLACE, "record")
        known = pl.concat([by_rules, old.select(by_rules.columns)], how="vertical_relaxed").unique(PLACE)
        told = rejected.join(known, on=PLACE, how="left", maintain_order="left")
        unknown = told.filter(pl.col("record").is_null())
        if unknown.is_empty():
            return told
        texts = self._texts(manifest, unknown)
        return told.join(texts, on=PLACE, how="left", maintain_order="left").select(
            *rejected.columns, pl.coalesce("record", "text").fill_null("").alias("record")
        )

    def _texts(self, manifest: PublishManifest, records: pl.DataFrame) -> pl.DataFrame:
        parts = []
        for part in records.select("seq").unique().sort("seq").iter_slices(milled.PORTION_PAYLOADS):
            stored = self._store.frame("mill_payloads", tenant=manifest.tenant, seqs=part["seq"])
            entries = {
                row["seq"]: stored_entry(manifest.tenant, manifest.feed, row, row["feed_version"])
                for row in stored.iter_rows(named=True)
            }
            wanted = records.filter(pl.col("seq").is_in(part["seq"].implode())).select(PLACE).sort(PLACE)
            texts = pl.Series("text", self._pipeline.texts(entries, wanted), dtype=pl.String)
            parts.append(wanted.with_columns(texts))
        return pl.concat(parts)


def _outcomes(counts: pl.DataFrame, selection: pl.DataFrame, found: Conclusion) -> pl.DataFrame:
    """OUTCOMES and `feed_version` of the payloads; of those that were only revived, where something differs."""
    outcomes = ledger.outcomes(counts, pl.concat([found.rejected, found.gone]), "applied")
    outcomes = outcomes.join(selection.select("seq", "feed_version", "revived"), on="seq")
    before, after = (
        frame.select(*PLACE, pl.col(_WINNER).fill_null(0)) for frame in (_not_recovered(found.old), found.rejected)
    )
    columns = [*PLACE, *_WINNER]
    differ = [before.join(after, on=columns, how="anti")["seq"], after.join(before, on=columns, how="anti")["seq"]]
    return outcomes.filter(~pl.col("revived") | pl.col("seq").is_in(pl.concat(differ).unique().implode()))


def _not_recovered(ledger_of: pl.DataFrame) -> pl.DataFrame:
    return ledger_of.filter(pl.col("recovered_by") == "")
