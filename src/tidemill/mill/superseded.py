"""Records that were current and are superseded, because a record that was submitted earlier is applied later. Rare; the
result must not depend on the order.

The winner has a point for every point of the superseded record (one for every field of the feed, if need be without a
value). The rejections are written before the winner's points: after a crash in between, the second attempt still finds
the superseded record current.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from tidemill.mill import ledger
from tidemill.mill.context import MillContext
from tidemill.mill.stored import stored_entry
from tidemill.model.payload import LogEntry

_CHUNK: Final = 10_000  # records in one statement
RecordTexts = Callable[[Mapping[int, LogEntry], pl.DataFrame], list[str]]


def write_superseded(
    context: MillContext,
    tenant: str,
    feed: str,
    superseded: pl.DataFrame,
    *,
    texts_of: RecordTexts,
    version: int,
    repointed: pl.DataFrame | None = None,
) -> int:
    """Write the rejections of superseded records (`duplicates.SUPERSEDED`); returns of how many payloads the outcome
    changes. `repointed`: duplicates that have another winner now, where these are known (`submissions.Contested`); null
    where they are the duplicates of the superseded records. Raises StoreUnavailableError, StoreQueryError."""
    store, by_local_time = context.store, repointed is not None
    payloads = []
    if superseded.height:
        payloads = store.rows("mill_payloads", tenant=tenant, seqs=superseded["seq"].unique())
        rows = superseded_rows(payloads, tenant, feed, superseded, texts_of, by_local_time=by_local_time)
        store.insert("rejections", rows)
    # After the rejections are written: duplicates of a superseded record name the winner, and outcomes are counted
    # again.
    moved, query = (superseded, "mill_repoint") if repointed is None else (repointed, "mill_repoint_records")
    for part in moved.iter_slices(_CHUNK):
        if part.height:
            records = {"seqs": part["seq"], "idxs": part["idx"]}
            winners = {"winner_seqs": part["winner_seq"], "winner_idxs": part["winner_idx"]}
            store.command(query, tenant=tenant, feed=feed, **records, **winners)
    seqs = [row["seq"] for row in payloads]
    if seqs:
        store.command("mill_restate", tenant=tenant, feed=feed, seqs=seqs, version=version)
    return len(seqs)


def superseded_rows(
    payloads: Sequence[Mapping[str, Any]],
    tenant: str,
    feed: str,
    superseded: pl.DataFrame,
    texts_of: RecordTexts,
    *,
    by_local_time: bool = False,
) -> pl.DataFrame:
    """Rows of table `rejections` for superseded records, given their payloads as the store has them (`mill_payloads`).
    Pure.

    A payload that the store does not have yet is left out: it is not applied yet, and its record is rejected then.
    """
    entries = {row["seq"]: stored_entry(tenant, feed, row, row["feed_version"]) for row in payloads}
    known = superseded.filter(pl.col("seq").is_in(list(entries))).with_columns(
        reasons=pl.lit(["duplicate"]), detail=pl.lit(ledger.LOCAL_DUPLICATE if by_local_time else ledger.DUPLICATE)
    )
    rejections = ledger.concat_rejections([known])
    texts = texts_of(entries, rejections)
    return ledger.rejection_rows(rejections, tenant, feed, ledger.payload_origins(entries.values()), texts)
