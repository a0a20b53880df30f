"""A model of the store for properties of `decide`: tables as frames, into which what it returns is folded.

Keys and versions are those that the schema declares: of rows with one key the one with the highest version stays, of
equal ones the last. `test_decide.py` holds the model against the real engine: same batches, same tables.
"""

import itertools
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from tests.log.payloads import NOW_NS
from tests.log.payloads import payload as make_payload
from tests.mill.declared import folded
from tests.mill.folded_state import History, Tables, values
from tests.mill.house import EVIDENCE, TABLES
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.feeds.book import FeedBook
from tidemill.mill import ledger, rollups, store_history
from tidemill.mill.affected import AffectedWindows
from tidemill.mill.batch import group_by_feed, transform_entries
from tidemill.mill.decide import decide
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.status import MillStatus
from tidemill.mill.superseded import superseded_rows
from tidemill.mill.writes import ContestWrites, Writes
from tidemill.model.payload import LogEntry
from tidemill.store.tables import table as schema_table


class Killed(BaseException):
    """The mill ended between two writes."""


class Folded(Tables):
    """The tables of one tenant, and the mill's loop over them; as `tests.mill.house.House`, without an engine."""

    def __init__(self, texts: CatalogFeeds, book: FeedBook) -> None:
        super().__init__()
        self.texts, self.tenant = texts, "folded"
        self.writes_left: int | None = None  # then the mill ends
        self._pipeline = TransformPipeline(book, MillStatus())
        self._entries: list[LogEntry] = []
        self._versions = itertools.count(NOW_NS)

    # --- as a house

    def send(self, feed: str, body: Any, **other: Any) -> int:
        """Append one payload; its place in the log."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = make_payload(raw, **{"tenant": self.tenant, "feed": feed} | other)
        self._entries.append(LogEntry(len(self._entries) + 1, sent))
        return len(self._entries)

    def entries(self) -> list[LogEntry]:
        return list(self._entries)

    def apply(self, batches: Iterable[Sequence[LogEntry]]) -> None:
        """Apply entries in these batches, whatever their order."""
        for batch in batches:
            alive = [entry for entry in batch if entry.seq not in self.deleted_payloads()]
            for run in store_history.split_runs(alive, self._pipeline.looks_back):
                self._apply(run)

    def all(self, table: str, tenant: str = "") -> list[dict[str, Any]]:
        """The rows of a table as a house gives them."""
        held = self.tables["rollups" if table == "restated" else table].filter(
            pl.col("tenant") == (tenant or self.tenant)
        )
        if table == "rollups":
            held = held.filter(pl.col("count") > 0)
        names = [re.sub(r"\W", "", name.split(" AS ")[-1]) for name in (TABLES | EVIDENCE)[table].split(", ")]
        rows = held.select(
            pl.col(name).cast(pl.Int64) if held.schema[name] == pl.Datetime("ns", "UTC") else name for name in names
        )
        maps = {name for name in names if isinstance(getattr(held.schema[name], "inner", None), pl.Struct)}
        return [
            {name: _plain(value, name in maps) for name, value in row.items()} for row in rows.iter_rows(named=True)
        ]

    def everything(self, *without: str, tenant: str = "") -> dict[str, list[dict[str, Any]]]:
        return {table: self.all(table, tenant) for table in TABLES if table not in without}

    def new_mill(self) -> None:
        """A mill that starts anew knows no more than what the tables say; so does this one, always."""

    def delete_series(self, series: Sequence[int]) -> None:
        """Delete whole series: a mark that covers all that was sent so far, and no rejection of theirs."""
        upto = len(self._entries)
        rows = self.held("series").filter(pl.col("series").is_in(series))
        self.insert("series", rows.with_columns(deleted=True, deleted_seq=upto, version=upto))
        emptied = self.held("rollups").filter(pl.col("series").is_in(series))
        self.insert("rollups", emptied.with_columns(count=0, sealed=False, version=pl.lit(next(self._versions))))

    # --- the loop

    def _apply(self, entries: Sequence[LogEntry]) -> None:
        version = next(self._versions)
        batch = []
        try:
            for (tenant, feed), of_feed in group_by_feed(entries):
                transformed = transform_entries(tenant, feed, of_feed, self._pipeline, History(self))
                state = self.state(transformed)
                writes = decide(transformed, state, version=version, now=NOW_NS)
                for contest in writes.contests:
                    self._before(tenant, feed, contest, version)
                batch.append((writes, of_feed))
            self._write([(writes, of_feed) for writes, of_feed in batch], entries, version)
        except Killed:
            self.announced_until = max(self.announced_until, *(entry.seq for entry in entries))
            raise

    def _write(
        self, batch: Sequence[tuple[Writes, Sequence[LogEntry]]], entries: Sequence[LogEntry], version: int
    ) -> None:
        contests = [contest for writes, _ in batch for contest in writes.contests]
        for table in ("series", "replaced", "changes", "submissions"):
            for contest in contests:
                self.insert(table, getattr(contest, table))
        for writes, of_feed in batch:
            if writes.rejections.is_empty():
                continue
            texts = self._pipeline.texts({entry.seq: entry for entry in of_feed}, writes.rejections)
            origins = ledger.payload_origins(of_feed)
            rows = ledger.rejection_rows(writes.rejections, writes.tenant, writes.feed, origins, texts)
            self.insert("rejections", rows)
        for contest in contests:
            self._purge_vacated(contest)
            self.insert("points", contest.points)
        for contest in contests:
            if contest.windows is not None:
                self._publish(contest.windows, version)
        outcomes = pl.concat([writes.outcomes for writes, _ in batch])
        self.insert("payloads", ledger.payload_rows(entries, outcomes, version))

    def insert(self, table: str, rows: pl.DataFrame) -> None:
        """One write to the store."""
        if rows.is_empty():
            return
        self._count_write()
        self.tables[table] = folded(schema_table(table), self.tables[table], rows)

    def _count_write(self) -> None:
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise Killed
            self.writes_left -= 1

    def _purge_vacated(self, contest: ContestWrites) -> None:
        """`mill_purge_instants`, as one write."""
        if contest.vacated.is_empty():
            return
        self._count_write()
        held = self.held("points").with_columns(time_ns=pl.col("time").cast(pl.Int64))
        keys = contest.vacated.rename({"time": "time_ns"})
        self.tables["points"] = held.join(keys, on=["series", "time_ns"], how="anti", maintain_order="left").drop(
            "time_ns"
        )

    def _before(self, tenant: str, feed: str, contest: ContestWrites, version: int) -> None:
        """What is written before anything else of a batch: see `mill.superseded`."""
        if contest.purged:
            gone = pl.DataFrame(
                list(contest.purged.items()), schema={"series": pl.UInt64, "upto": pl.UInt64}, orient="row"
            )
            for table in ("points", "replaced"):
                held = self.held(table)
                dead = held.join(gone, on="series").filter(pl.col("seq") <= pl.col("upto"))
                self.tables[table] = held.join(dead, on=schema_table(table).key, how="anti", maintain_order="left")
        if not contest.supersedes:
            return
        lost = contest.superseded
        stored = self.held("payloads").filter(pl.col("seq").is_in(lost["seq"].implode()))
        rows = [
            row | {"received_ns": NOW_NS, "body": row["body"].hex()} for row in stored.iter_rows(named=True)
        ]  # fmt: skip
        by_local_time = contest.repointed is not None
        self.insert(
            "rejections", superseded_rows(rows, tenant, feed, lost, self._pipeline.texts, by_local_time=by_local_time)
        )
        self._repoint(lost) if contest.repointed is None else self._repoint_records(contest.repointed)
        if rows:
            self._restate([row["seq"] for row in rows], version)

    def _repoint(self, lost: pl.DataFrame) -> None:
        """`mill_repoint`: duplicates of a record that now lost become duplicates of the one that it lost to."""
        held = self.held("rejections")
        winners = lost.select(
            winner_seq="seq", winner_idx="idx", new_seq="winner_seq", new_idx="winner_idx"
        ).unique()  # fmt: skip
        moved = held.filter(pl.col("reasons").list.contains("duplicate")).join(winners, on=["winner_seq", "winner_idx"])
        self._insert_repointed(moved)

    def _repoint_records(self, repointed: pl.DataFrame) -> None:
        """`mill_repoint_records`."""
        held = self.held("rejections")
        winners = repointed.select("seq", "idx", new_seq="winner_seq", new_idx="winner_idx")
        self._insert_repointed(
            held.filter(pl.col("reasons").list.contains("duplicate")).join(winners, on=["seq", "idx"])
        )

    def _insert_repointed(self, moved: pl.DataFrame) -> None:
        place = pl.col("new_seq").cast(pl.Int64) * 2**20 + pl.col("new_idx").cast(pl.Int64)
        moved = moved.with_columns(winner_seq="new_seq", winner_idx="new_idx", version=-place)
        self.insert("rejections", moved.select(self.held("rejections").columns))

    def _restate(self, seqs: Sequence[int], version: int) -> None:
        """`mill_restate`: count the outcome of applied payloads again."""
        held = self.held("payloads")
        counted = held.filter(pl.col("seq").is_in(seqs) & (pl.col("state") == "applied"))
        rejected = self.held("rejections").filter(pl.col("seq").is_in(seqs))
        counts = counted.select("seq", records=pl.col("accepted") + pl.col("rejected"))
        outcomes = ledger.payload_outcomes(counts, rejected, "applied").filter(pl.col("rejected") > 0)
        rows = counted.drop("state", "accepted", "rejected", "reasons").join(outcomes, on="seq")
        self.insert("payloads", rows.with_columns(version=pl.lit(version, pl.UInt64)).select(held.columns))

    def _publish(self, windows: AffectedWindows, version: int) -> None:
        """As `AffectedWindows.publish`."""
        keys = windows.windows.select(rollups.KEY)
        points = self.alive("points").with_columns(window=rollups.window_of(windows.every))
        present = values(points.join(keys, on=rollups.KEY, how="semi"), windows.every, windows.late)
        published = self.windows(windows.every).join(
            windows.maybe_published().select(rollups.KEY), on=rollups.KEY, how="semi"
        )
        announced = self.announced(windows) if windows.from_seq else None
        changed, rows = windows.rows(present, published, announced, version=version, now=NOW_NS)
        self.insert("changes", changed)
        self.insert("rollups", rows)


def _plain(value: Any, is_map: bool) -> Any:
    """A value as JSON has it: maps as dicts, bytes in hexadecimal."""
    if is_map:
        return {pair["key"]: pair["value"] for pair in value}
    return value.hex().upper() if isinstance(value, bytes) else value
