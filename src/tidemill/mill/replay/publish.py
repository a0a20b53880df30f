"""Publishes a plan: everything that a replay changes in the store, each write such that doing it again changes nothing.

The plan is on disk before the first write, and no live batch of its feed comes between: a mill that was killed begins
again here. Batches of other feeds may come between any two pieces: they write other keys.
"""

from collections.abc import Generator, Iterator
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.crash_points import reach
from tidemill.mill import ledger, rollups
from tidemill.mill.context import MillContext
from tidemill.mill.known import KnownSeries
from tidemill.mill.replay.folder import Folder
from tidemill.mill.replay.stored_rows import KEY
from tidemill.mill.state import PublishManifest
from tidemill.mill.superseded import RecordTexts, write_superseded
from tidemill.mill.writes import point_rows, replaced_rows, series_rows
from tidemill.model.time import NS_PER_S
from tidemill.rules.payload_marks import MARKS
from tidemill.rules.payload_times import TIMES
from tidemill.rules.shape import version_of
from tidemill.store.tables import table

_CHUNK: Final = 10_000
NO_TIME: Final = -(2**63)  # instead of an instant (ns) that is not known
_ROWS: Final = 250_000
_MEANS: Final = {"series": pl.UInt64, "window": pl.Int64, "new_mean": pl.Float64}


class Publisher:
    """Writes plans. `texts_of` cuts records out of payloads. Loads known series of its own, because those of the mill
    change between two pieces."""

    def __init__(self, context: MillContext, texts_of: RecordTexts) -> None:
        self._context = context
        self._store = context.store
        self._texts_of = texts_of

    def publish(self, folder: Folder, manifest: PublishManifest) -> Iterator[None]:
        """Make the store what the plan in `folder` says, a pause after each piece. Raises StoreUnavailableError,
        StoreQueryError with some of it written: publish all of it again."""
        tenant, points, known = manifest.tenant, folder.read_frame("plan-points"), KnownSeries(self._store)
        yield from self._ledger(folder, manifest)
        reach("replay.after_ledger")
        known.load_series(tenant, points["series"].unique(), 0)
        series = series_rows(known.frame(points["series"].unique()), tenant, folder.read_frame("plan-series"), points)
        yield from self._insert("series", series)
        yield from self._points(tenant, points, folder.read_frame("plan-withdrawn"))
        reach("replay.after_points")
        self._supersede(manifest, folder)
        yield
        windows, changed = folder.read_frame("plan-windows"), folder.read_frame("plan-changed-windows")
        known.load_series(tenant, windows["series"].unique(), 0)
        changed = yield from self._rollups(known, manifest, windows, changed)
        reach("replay.after_rollups")
        yield from self._outcomes(folder.read_frame("plan-outcomes"), manifest)
        reach("replay.after_outcomes")
        yield from self._insert("changes", change_rows(folder.read_frame("plan-moved"), manifest))
        yield from self._insert("changes", window_change_rows(changed.sort(rollups.KEY), manifest))
        reach("replay.after_changes")

    def _ledger(self, folder: Folder, manifest: PublishManifest) -> Iterator[None]:
        rows = folder.read_frame("plan-ledger")
        concerned = pl.concat([rows["seq"], folder.read_frame("plan-ledger-old")["seq"]]).unique().sort()
        for start in range(0, len(concerned), _CHUNK):
            yield from self._command(
                "replay_purge_rejections",
                tenant=manifest.tenant,
                feed=manifest.feed,
                seqs=concerned[start : start + _CHUNK],
            )
        yield from self._insert("rejections", rows)
        stale = folder.read_frame("plan-stale")
        for part in stale.iter_slices(_CHUNK):
            if part.height:
                yield from self._command(
                    "replay_purge_replaced",
                    tenant=manifest.tenant,
                    series=part["series"],
                    times=part["time"],
                    seqs=part["seq"],
                    idxs=part["idx"],
                )
        yield from self._insert("replaced", replaced_rows(manifest.tenant, folder.read_frame("plan-replaced")))
        if folder.has("plan-submissions"):  # a plan of an earlier release of the software has none
            yield from self._submissions(folder, manifest)

    def _submissions(self, folder: Folder, manifest: PublishManifest) -> Iterator[None]:
        of = {"tenant": manifest.tenant, "feed": manifest.feed}
        for part in folder.read_frame("plan-submissions-old").iter_slices(_CHUNK):
            if part.height:
                yield from self._command("replay_purge_submissions", seqs=part["seq"], **of)
        yield from self._insert("submissions", folder.read_frame("plan-submissions"))

    def _points(self, tenant: str, points: pl.DataFrame, removed: pl.DataFrame) -> Iterator[None]:
        """Write the points and remove rows. Where a new row has the key of a removed one, the old row is removed first,
        because a merge of both could drop the new row."""
        instead = points.join(removed, on=KEY, how="semi")
        yield from self._insert_points(tenant, points.join(removed, on=KEY, how="anti"))
        yield from self._remove(tenant, removed)
        yield from self._insert_points(tenant, instead)

    def _insert_points(self, tenant: str, points: pl.DataFrame) -> Iterator[None]:
        for part in points.iter_slices(_ROWS):
            yield from self._insert("points", table("points").without_null_lists(point_rows(tenant, part)))

    def _remove(self, tenant: str, removed: pl.DataFrame) -> Iterator[None]:
        for part in removed.sort("series", "time").iter_slices(_CHUNK):
            if part.height:
                yield from self._command(
                    "replay_purge_points",
                    tenant=tenant,
                    series=part["series"],
                    times=part["time"],
                    ordinals=part["ordinal"],
                    seqs=part["seq"],
                    idxs=part["idx"],
                )

    def _supersede(self, manifest: PublishManifest, folder: Folder) -> None:
        superseded = folder.read_frame("plan-superseded")
        repointed = folder.read_frame("plan-repointed") if folder.has("plan-repointed") else None
        if superseded.is_empty() and (repointed is None or repointed.is_empty()):
            return
        tenant, feed, version = manifest.tenant, manifest.feed, manifest.version
        write_superseded(
            self._context,
            tenant,
            feed,
            superseded,
            texts_of=self._texts_of,
            version=version,
            repointed=repointed,
        )

    def _rollups(
        self, known: KnownSeries, manifest: PublishManifest, windows: pl.DataFrame, changed: pl.DataFrame
    ) -> Generator[None, None, pl.DataFrame]:
        """Publish the windows, of which those that the plan says are `changed` are restated; returns `changed` with the
        means as they are published."""
        means = [pl.DataFrame(schema=_MEANS)]
        for part in windows.sort(rollups.KEY).iter_slices(_CHUNK):
            if part.height:
                means.append(self._windows(known, manifest, part, changed))
                yield
        published = pl.concat(means)
        return changed.drop("new_mean").join(published, on=rollups.KEY, how="left", maintain_order="left")

    def _windows(
        self, known: KnownSeries, manifest: PublishManifest, windows: pl.DataFrame, changed: pl.DataFrame
    ) -> pl.DataFrame:
        """Publish some windows; `series`, `window` and `new_mean` of those that have points."""
        of: dict[str, Any] = {"tenant": manifest.tenant, "every": manifest.every}
        before = rollups.read_stored_windows(self._store, windows=windows, **of)
        present = rollups.read_window_values(self._store, known, windows=windows, late=manifest.late, **of)
        restated = changed.join(windows, on=rollups.KEY, how="semi")
        version, now = manifest.version, manifest.now_ns
        self._store.insert("rollups", rollups.rollup_rows(present, before, restated, version=version, now=now, **of))
        return present.select(*rollups.KEY, new_mean="mean")

    def _outcomes(self, outcomes: pl.DataFrame, manifest: PublishManifest) -> Iterator[None]:
        for part in outcomes.sort("seq").iter_slices(_CHUNK):
            if part.height:
                reasons = [
                    msgspec.json.encode({pair["key"]: pair["value"] for pair in pairs}).decode()
                    for pairs in part["reasons"].to_list()
                ]
                yield from self._command(
                    "replay_outcomes",
                    tenant=manifest.tenant,
                    seqs=part["seq"],
                    accepted=part["accepted"],
                    rejected=part["rejected"],
                    reasons=reasons,
                    versions=part["feed_version"],
                    **_notes(part),
                    replay=manifest.replay,
                    version=manifest.version,
                )

    def _insert(self, table: str, rows: pl.DataFrame) -> Iterator[None]:
        for part in rows.iter_slices(_ROWS):
            if part.height:
                self._store.insert(table, part)
                yield

    def _command(self, query: str, **values: Any) -> Iterator[None]:
        self._store.command(query, **values)
        yield


def _notes(outcomes: pl.DataFrame) -> dict[str, pl.Series]:
    """TIMES and MARKS of these outcomes as they are bound: -1 and the latest instant where they are not known, which a
    plan of an earlier version does not have."""
    kinds = {**TIMES, **MARKS}
    known = [
        pl.col(name) if name in outcomes.columns else pl.lit(None, kind).alias(name) for name, kind in kinds.items()
    ]
    unknown = {"nulls": -1, "first_time": NO_TIME, "last_time": NO_TIME, "late": -1, "flagged": -1}
    bound = outcomes.select(expression.cast(pl.Int64) for expression in known)
    return {name: bound[name].fill_null(none) for name, none in unknown.items()}


def change_rows(moved: pl.DataFrame, manifest: PublishManifest) -> pl.DataFrame:
    """Rows of table `changes` for the instants of `plan.MOVED`, also where there was no value before: a follower of
    the changes reads the new value."""
    of_point = {
        "old_count": pl.col("was"),
        "new_count": pl.col("is"),
        "cause_seq": pl.when("is").then("cause_seq").otherwise(0),
        "cause_idx": pl.when("is").then("cause_idx").otherwise(0),
    }
    return _published_changes(moved, manifest, idx=manifest.at_idx, every_s=0, **of_point)


def window_change_rows(changed: pl.DataFrame, manifest: PublishManifest) -> pl.DataFrame:
    """Rows of table `changes` for windows (`compare.WINDOW_CHANGES`). They are written after those of points and have a
    higher index, so that a follower misses none."""
    of_window = {"time": pl.col("window"), "old": pl.col("old_mean"), "new": pl.col("new_mean")}
    no_cause = {"cause_seq": 0, "cause_idx": 0}
    every_s = manifest.every // NS_PER_S
    return _published_changes(changed, manifest, idx=manifest.at_idx + 1, every_s=every_s, **of_window, **no_cause)


def _published_changes(changed: pl.DataFrame, manifest: PublishManifest, **values: Any) -> pl.DataFrame:
    """Rows of table `changes` with these values, and with the offset and the time of the replay."""
    return table("changes").rows(
        changed,
        tenant=manifest.tenant,
        seq=manifest.at_seq,
        feed=manifest.feed,
        why="replay",
        replay=manifest.replay,
        changed_at=manifest.now_ns,
        version=manifest.version,
        **values,
    )


def ledger_rows(
    rejected: pl.DataFrame, old: pl.DataFrame, origins: pl.DataFrame, manifest: PublishManifest
) -> pl.DataFrame:
    """Rows of table `rejections` for replayed payloads: those that are rejected now (REJECTED and `record`), and those
    of the `old` ledger that are no longer: marked as recovered."""
    records = rejected["record"].to_list()
    now = ledger.rejection_rows(rejected.drop("record"), manifest.tenant, manifest.feed, origins, records)
    fresh = pl.col("recovered_by") == ""
    recovered = table("rejections").rows(
        old.join(rejected, on=["seq", "idx"], how="anti"),
        tenant=manifest.tenant,
        feed=manifest.feed,
        received_at=pl.col("received_ns"),
        time=pl.col("time_ns"),
        recovered_by=pl.when(fresh).then(pl.lit(manifest.replay)).otherwise("recovered_by"),
        recovered_at=pl.when(fresh).then(manifest.now_ns).otherwise("recovered_ns"),
        version=-version_of("winner_seq", "winner_idx"),
    )
    return pl.concat([now, recovered])
