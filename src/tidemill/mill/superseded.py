"""Records that were current and are superseded, because a record that was submitted earlier is applied later. Rare; the
result must not depend on the order.

The winner has a point for every point of the superseded record (one for every field of the feed, if need be without a
value). The rejections are written before the winner's points: after a crash in between, the second attempt still finds
the superseded record current.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from tidemill.mill import ledger
from tidemill.mill.context import MillContext
from tidemill.mill.stored import stored_entry
from tidemill.model.payload import LogEntry

RecordTexts = Callable[[Mapping[int, LogEntry], pl.DataFrame], list[str]]


def write_superseded(
    context: MillContext, tenant: str, feed: str, superseded: pl.DataFrame, *, texts_of: RecordTexts, version: int
) -> int:
    """Write the rejections of superseded records (`duplicates.SUPERSEDED`); returns of how many payloads the outcome
    changes. Raises StoreUnavailableError, StoreQueryError."""
    store = context.store
    payloads = store.rows("mill_payloads", tenant=tenant, seqs=superseded["seq"].unique())
    store.insert("rejections", superseded_rows(payloads, tenant, feed, superseded, texts_of))
    # After the rejections are written: duplicates of a superseded record name the winner, and outcomes are counted
    # again.
    store.command(
        "mill_repoint",
        tenant=tenant,
        feed=feed,
        seqs=superseded["seq"],
        idxs=superseded["idx"],
        winner_seqs=superseded["winner_seq"],
        winner_idxs=superseded["winner_idx"],
    )
    seqs = [row["seq"] for row in payloads]
    if seqs:
        store.command("mill_restate", tenant=tenant, feed=feed, seqs=seqs, version=version)
    return len(seqs)


def superseded_rows(
    payloads: Sequence[Mapping[str, Any]], tenant: str, feed: str, superseded: pl.DataFrame, texts_of: RecordTexts
) -> pl.DataFrame:
    """Rows of table `rejections` for superseded records, given their payloads as the store has them (`mill_payloads`).
    Pure.

    A payload that the store does not have yet is left out: it is not applied yet, and its record is rejected then.
    """
    entries = {row["seq"]: stored_entry(tenant, feed, row, row["feed_version"]) for row in payloads}
    known = superseded.filter(pl.col("seq").is_in(list(entries))).with_columns(
        reasons=pl.lit(["duplicate"]), detail=pl.lit(ledger.DUPLICATE)
    )
    rejections = ledger.concat_rejections([known])
    texts = texts_of(entries, rejections)
    return ledger.rejection_rows(rejections, tenant, feed, ledger.payload_origins(entries.values()), texts)
