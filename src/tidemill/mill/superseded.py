"""A record that stood and lost: one that was submitted earlier was applied later. Rare, and order must not matter.

The winner's points cover all of the loser's (it has one for every field of the feed, if need be without a value).
Everything of this is written before the winner's points: were it after, a crash between would leave nobody who knows.
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
    """Write the ledger of records that stood and lost (`duplicates.SUPERSEDED`); returns of how many payloads the
    outcome changes. Raises StoreUnavailableError, StoreQueryError."""
    store = context.store
    payloads = store.rows("mill_payloads", tenant=tenant, seqs=superseded["seq"].unique())
    store.insert("rejections", superseded_rows(payloads, tenant, feed, superseded, texts_of))
    # Once the rejections are written: duplicates of a loser point to the winner, and outcomes are counted again.
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
    """Rows of table `rejections` for records that lost, given their payloads as the store has them (`mill_payloads`).
    Pure.

    A payload that the store does not have yet is passed over: it is still to be applied, and will lose then.
    """
    entries = {row["seq"]: stored_entry(tenant, feed, row, row["feed_version"]) for row in payloads}
    lost = superseded.filter(pl.col("seq").is_in(list(entries))).with_columns(
        reasons=pl.lit(["duplicate"]), detail=pl.lit(ledger.DUPLICATE)
    )
    rejections = ledger.rejected([lost])
    texts = texts_of(entries, rejections)
    return ledger.rejection_rows(rejections, tenant, feed, ledger.origins(entries.values()), texts)
