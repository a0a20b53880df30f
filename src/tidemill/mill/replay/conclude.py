"""Concludes a replay whose payloads all went through the rules: what they change, and the files that publishing
needs."""

from typing import Final

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import ledger, rollups
from tidemill.mill.context import MillContext
from tidemill.mill.replay import difference, milled, window_differences
from tidemill.mill.replay.folder import Folder
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.mill.replay.plan import RECORD, Planner, ReplayPlan, joined_rejections, read_old_points
from tidemill.mill.replay.publish import ledger_rows
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.state import PublishManifest
from tidemill.mill.stored import stored_entry
from tidemill.mill.tombstones import without_deleted
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.replay import Replay, ReplayOutcome

_WINNER: Final = ("winner_seq", "winner_idx")


class Conclusion(msgspec.Struct, frozen=True):
    """A replay's plan; all its rejections now (REJECTED), those of `deleted` records, which still count; the whole
    ledger of its payloads before (`old`); `windows` that it restates (`compare.WINDOW_CHANGES`); what it changes,
    and the `records` whose outcome changes (`difference.record_changes`)."""

    offsets: OffsetSet
    plan: ReplayPlan
    rejected: pl.DataFrame
    deleted: pl.DataFrame
    old: pl.DataFrame
    windows: pl.DataFrame
    difference: ReplayOutcome
    records: pl.DataFrame


class Concluding:
    """Concludes replays against one store."""

    def __init__(self, context: MillContext, pipeline: TransformPipeline) -> None:
        self._store = context.store
        self._status = context.status
        self._known = context.known
        self._pipeline = pipeline
        self._planner = Planner(context)

    def conclude(self, replay: Replay, feed: Feed, folder: Folder) -> Conclusion:
        """The conclusion of a replay whose portions are all milled. Writes nothing."""
        offered, counts = milled.read_all_portions(folder, "points"), milled.read_all_portions(folder, "counts")
        offsets = OffsetSet(counts["seq"])
        old = self._ledger(replay.tenant, feed.name, offsets)
        had = read_old_points(self._store, replay.tenant, feed.name, offsets)
        plan = self._planner.plan(replay.tenant, feed, offsets, offered, had)
        self._status.turn()
        rejected = joined_rejections(milled.read_all_portions(folder, "rejected").drop("record"), plan)
        tombstones = self._known.tombstones.deleted_records(replay.tenant, feed.name, counts["seq"])
        rejected = without_deleted(rejected, tombstones)
        deleted = tombstones.filter((pl.col("series") == 0) & (pl.col("reasons").list.len() > 0)).drop("series")
        moved = window_differences.changed_windows(
            self._store, self._known, plan, offsets, tenant=replay.tenant, feed=feed
        )
        before = _not_recovered(old)
        outcome = difference.replay_outcome(
            difference.record_counts(counts, before, rejected),
            difference.point_counts(plan),
            difference.window_counts(moved, rollups.every_ns(feed) // 1_000_000_000),
        )
        records = difference.record_changes(counts, before.rename({"time_ns": "time"}), rejected)
        return Conclusion(offsets, plan, rejected, ledger.concat_rejections([deleted]), old, moved, outcome, records)

    def _ledger(self, tenant: str, feed: str, offsets: OffsetSet) -> pl.DataFrame:
        """All rows of the ledger of these payloads, also of recovered records."""
        parts = [
            self._store.frame("replay_rejections", tenant=tenant, feed=feed, **part.bound) for part in offsets.parts()
        ]
        none = [] if parts else [self._store.frame("replay_rejections", tenant=tenant, feed=feed, **offsets.bound)]
        return pl.concat([*none, *parts])

    def at_idx(self, tenant: str, seq: int) -> int:
        """The next free index of changes at this offset: beyond all records of a payload."""
        highest = self._store.rows("replay_published_at", tenant=tenant, seq=seq)[0]["idx"]
        return max(MAX_RECORDS, int(highest) + 1)

    def write(
        self, folder: Folder, feed: Feed, conclusion: Conclusion, selection: pl.DataFrame, manifest: PublishManifest
    ) -> None:
        """Write everything that publishing needs to disk, so that publishing reads nothing that it changes itself."""
        plan, old = conclusion.plan, conclusion.old
        rejections = self._with_records(folder, manifest, conclusion.rejected, old)
        replaced = self._store.frame(
            "replay_replaced", tenant=manifest.tenant, feed=feed.name, **conclusion.offsets.bound
        )
        frames = {
            "plan-points": plan.points,
            "plan-series": milled.read_all_portions(folder, "series"),
            "plan-withdrawn": plan.removed,
            "plan-superseded": plan.superseded,
            "plan-submissions": plan.submissions,
            "plan-submissions-old": self._submitted(manifest, conclusion.offsets),
            "plan-replaced": plan.replaced,
            "plan-stale": replaced.rename({"time_ns": "time"}).filter(conclusion.offsets.has()),
            "plan-moved": plan.moved,
            "plan-windows": window_differences.windows_of_plan(feed, plan),
            "plan-changed-windows": conclusion.windows,
            "plan-ledger": ledger_rows(rejections, old, milled.read_all_portions(folder, "origins"), manifest),
            "plan-ledger-old": old.select("seq").unique(),
            "plan-outcomes": _outcomes(milled.read_all_portions(folder, "counts"), selection, conclusion),
        }
        if plan.repointed is not None:
            frames["plan-repointed"] = plan.repointed
        for name, frame in frames.items():
            folder.write_frame(name, frame)

    def _submitted(self, manifest: PublishManifest, offsets: OffsetSet) -> pl.DataFrame:
        """`seq` of the payloads that have rows in table `submissions`."""
        of = {"tenant": manifest.tenant, "feed": manifest.feed}
        rows = self._store.frame("replay_submitted", **of, **offsets.bound)
        return rows.select(pl.col("seq").cast(pl.UInt64)).filter(offsets.has())

    def _with_records(
        self, folder: Folder, manifest: PublishManifest, rejected: pl.DataFrame, old: pl.DataFrame
    ) -> pl.DataFrame:
        """The rejections with the text of each record: known from the rules or from the ledger, else cut out again."""
        by_rules = milled.read_all_portions(folder, "rejected").select(*RECORD, "record")
        known = pl.concat([by_rules, old.select(by_rules.columns)], how="vertical_relaxed").unique(RECORD)
        joined = rejected.join(known, on=RECORD, how="left", maintain_order="left")
        unknown = joined.filter(pl.col("record").is_null())
        if unknown.is_empty():
            return joined
        texts = self._texts(manifest, unknown)
        return joined.join(texts, on=RECORD, how="left", maintain_order="left").select(
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
            wanted = records.filter(pl.col("seq").is_in(part["seq"].implode())).select(RECORD).sort(RECORD)
            texts = pl.Series("text", self._pipeline.texts(entries, wanted), dtype=pl.String)
            parts.append(wanted.with_columns(texts))
        return pl.concat(parts)


def _outcomes(counts: pl.DataFrame, selection: pl.DataFrame, conclusion: Conclusion) -> pl.DataFrame:
    """OUTCOMES and `feed_version` of the payloads; of those that were only revived, where something differs."""
    outcomes = ledger.payload_outcomes(counts, pl.concat([conclusion.rejected, conclusion.deleted]), "applied")
    outcomes = outcomes.join(selection.select("seq", "feed_version", "revived"), on="seq")
    before, after = (
        frame.select(*RECORD, pl.col(_WINNER).fill_null(0))
        for frame in (_not_recovered(conclusion.old), conclusion.rejected)
    )
    columns = [*RECORD, *_WINNER]
    differ = [before.join(after, on=columns, how="anti")["seq"], after.join(before, on=columns, how="anti")["seq"]]
    return outcomes.filter(~pl.col("revived") | pl.col("seq").is_in(pl.concat(differ).unique().implode()))


def _not_recovered(ledger_of: pl.DataFrame) -> pl.DataFrame:
    return ledger_of.filter(pl.col("recovered_by") == "")
