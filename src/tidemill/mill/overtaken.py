"""A record that stood and lost: one that was submitted earlier was applied later. Rare, and order must not matter.

The winner's points cover all of the loser's (it has one for every field of the feed, if need be without a value).
Everything of this is written before the winner's points: were it after, a crash between would leave nobody who knows.
"""

from collections.abc import Callable, Mapping

import polars as pl

from tidemill.mill import ledger
from tidemill.mill.stored import entry
from tidemill.model.payload import Logged
from tidemill.store.client import Store

RecordTexts = Callable[[Mapping[int, Logged], pl.DataFrame], list[str]]


def rejections_of(
    store: Store, tenant: str, feed: str, overtaken: pl.DataFrame, texts_of: RecordTexts
) -> tuple[pl.DataFrame, list[int]]:
    """Rows of table `rejections` for records that lost, and the payloads whose outcome that changes.

    A payload that the store does not have yet is passed over: it is still to be applied, and will lose then.
    """
    seqs = overtaken["seq"].unique()
    found = {row["seq"]: row for row in store.rows("mill_payloads", tenant=tenant, seqs=seqs)}
    lost = overtaken.filter(pl.col("seq").is_in(list(found))).with_columns(
        reasons=pl.lit(["duplicate"]), detail=pl.lit(ledger.DUPLICATE)
    )
    rejections = ledger.rejected([lost])
    entries = {seq: entry(tenant, feed, row, row["feed_version"]) for seq, row in found.items()}
    texts = texts_of(entries, rejections)
    rows = ledger.rejection_rows(rejections, tenant, feed, ledger.origins(entries.values()), texts)
    return rows, list(found)


def restate(store: Store, tenant: str, feed: str, overtaken: pl.DataFrame, *, seqs: list[int], version: int) -> None:
    """Once the rejections are written: duplicates of a loser point to the winner, and outcomes are counted again."""
    store.command(
        "mill_repoint",
        tenant=tenant,
        feed=feed,
        seqs=overtaken["seq"],
        idxs=overtaken["idx"],
        winner_seqs=overtaken["winner_seq"],
        winner_idxs=overtaken["winner_idx"],
    )
    if seqs:
        store.command("mill_restate", tenant=tenant, feed=feed, seqs=seqs, version=version)
