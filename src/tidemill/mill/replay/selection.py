"""Selects the payloads of a replay: those that the request names, and those whose records theirs supersede.

A record that is superseded by a record of a chosen payload, or a value that one of them replaced, may be current again.
So the payloads of these records go through the rules as well, each under the version that it had: `revived`.
"""

from typing import Any

import polars as pl

from tidemill.errors import Fault, InputError
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.model.replay import ReplayRequest
from tidemill.model.time import MAX_NS, MIN_NS
from tidemill.store.client import Store

_CHUNK = 10_000
_NAMED = 10
CHOSEN: dict[str, Any] = {
    "seq": pl.UInt64,
    "receipt": pl.String,
    "feed_version": pl.UInt32,
    "state": pl.String,
    "bytes": pl.UInt64,
}


def select_payloads(store: Store, tenant: str, request: ReplayRequest, applied: int) -> pl.DataFrame:
    """The payloads to replay, in the log's order: CHOSEN and `read_revived_payloads`; `feed_version` is the one to
    apply. No payload beyond the offset `applied` is selected. Raises InputError for receipts that are not found."""
    chosen = _chosen(store, tenant, request, applied).with_columns(
        feed_version=pl.lit(request.version, pl.UInt32), revived=pl.lit(False)
    )
    items = () if request.rejections is None else request.rejections.items or ()
    missing = sorted({*(request.receipts or ()), *(item.receipt for item in items)} - set(chosen["receipt"]))
    if missing:
        named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
        what = "rejected record with such an index in payload" if items else "applied payload of receipt"
        path = "$.rejections.items" if items else "$.receipts"
        message = f"feed '{request.feed}' has no {what} {named}"
        raise InputError(message, tuple(Fault(path, "not_found", receipt) for receipt in missing[:_NAMED]))
    return pl.concat([chosen, read_revived_payloads(store, tenant, request.feed, chosen)]).sort("seq")


def read_revived_payloads(store: Store, tenant: str, feed: str, chosen: pl.DataFrame) -> pl.DataFrame:
    """The payloads with a record that one of `chosen` supersedes, without those in `chosen`."""
    nothing = chosen.select(*CHOSEN, "revived").clear()
    if chosen.is_empty():
        return nothing
    superseded = _superseded_seqs(store, tenant, feed, OffsetSet(chosen["seq"]))
    seqs = superseded.filter(~superseded.is_in(chosen["seq"].implode()))
    parts = [
        _cast(store.frame("replay_by_offset", tenant=tenant, feed=feed, seqs=seqs[start : start + _CHUNK]))
        for start in range(0, len(seqs), _CHUNK)
    ]
    return pl.concat([nothing, *(part.with_columns(revived=pl.lit(True)) for part in parts)]).sort("seq")


def _chosen(store: Store, tenant: str, request: ReplayRequest, applied: int) -> pl.DataFrame:
    common = {"tenant": tenant, "feed": request.feed, "upto": applied}
    if request.receipts is not None:
        payloads = store.frame("replay_by_receipt", receipts=list(request.receipts), **common)
    elif request.rejections is not None:
        only = request.rejections
        payloads = store.frame(
            "replay_by_rejection",
            reason=only.reason or "",
            receipt=only.receipt or "",
            item_receipts=[item.receipt for item in only.items or ()],
            item_indexes=[item.index for item in only.items or ()],
            **_range(only.start_ns, only.end_ns),
            **common,
        )
    else:
        payloads = store.frame("replay_by_received", **_range(request.start_ns, request.end_ns), **common)
    return _cast(payloads)


def _range(start_ns: int | None, end_ns: int | None) -> dict[str, int]:
    return {"start": MIN_NS if start_ns is None else start_ns, "end": MAX_NS if end_ns is None else end_ns}


def _superseded_seqs(store: Store, tenant: str, feed: str, offsets: OffsetSet) -> pl.Series:
    """The payloads with a record that is superseded by one of these, or a value that one of these replaced."""
    superseded = store.frame("replay_superseded", tenant=tenant, feed=feed, **offsets.bound).filter(
        offsets.has("winner_seq")
    )
    replaced = store.frame("replay_replaced", tenant=tenant, feed=feed, **offsets.bound).filter(offsets.has("by_seq"))
    return pl.concat([superseded["seq"], replaced["seq"]]).cast(pl.UInt64).unique()


def _cast(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in CHOSEN.items())
