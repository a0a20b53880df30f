"""Which payloads a replay works on: those that were asked for, and those whose records they hold down.

A record that lost to one of a chosen payload, or a value that one of them replaced, stands again when that one goes.
So their payloads go through the rules as well, each under the version that it had: `revived`.
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


def select(store: Store, tenant: str, request: ReplayRequest, position: int) -> pl.DataFrame:
    """The payloads to replay, in the log's order: CHOSEN and `revived`; `feed_version` is the one to apply. Nothing
    beyond `position` is among them: it is still to be applied. Raises InputError for receipts that it does not find."""
    chosen = _chosen(store, tenant, request, position).with_columns(
        feed_version=pl.lit(request.version, pl.UInt32), revived=pl.lit(False)
    )
    missing = sorted(set(request.receipts or ()) - set(chosen["receipt"]))
    if missing:
        named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
        message = f"feed '{request.feed}' has no applied payload of receipt {named}"
        raise InputError(message, tuple(Fault("$.receipts", "not_found", one) for one in missing[:_NAMED]))
    return pl.concat([chosen, revived(store, tenant, request.feed, chosen)]).sort("seq")


def revived(store: Store, tenant: str, feed: str, chosen: pl.DataFrame) -> pl.DataFrame:
    """The payloads that those in `chosen` hold down and that are not among them."""
    nothing = chosen.select(*CHOSEN, "revived").clear()
    if chosen.is_empty():
        return nothing
    lost = _held_down(store, tenant, feed, OffsetSet(chosen["seq"]))
    seqs = lost.filter(~lost.is_in(chosen["seq"].implode()))
    parts = [
        _cast(store.frame("replay_by_offset", tenant=tenant, feed=feed, seqs=seqs[start : start + _CHUNK]))
        for start in range(0, len(seqs), _CHUNK)
    ]
    return pl.concat([nothing, *(part.with_columns(revived=pl.lit(True)) for part in parts)]).sort("seq")


def _chosen(store: Store, tenant: str, request: ReplayRequest, position: int) -> pl.DataFrame:
    common = {"tenant": tenant, "feed": request.feed, "upto": position}
    if request.receipts is not None:
        found = store.frame("replay_by_receipt", receipts=list(request.receipts), **common)
    elif request.rejections is not None:
        only = request.rejections
        found = store.frame(
            "replay_by_rejection",
            reason=only.reason or "",
            receipt=only.receipt or "",
            **_range(only.start_ns, only.end_ns),
            **common,
        )
    else:
        found = store.frame("replay_by_received", **_range(request.start_ns, request.end_ns), **common)
    return _cast(found)


def _range(start_ns: int | None, end_ns: int | None) -> dict[str, int]:
    return {"start": MIN_NS if start_ns is None else start_ns, "end": MAX_NS if end_ns is None else end_ns}


def _held_down(store: Store, tenant: str, feed: str, places: OffsetSet) -> pl.Series:
    """The payloads with a record that lost to one of these, or a value that one of these replaced."""
    losers = store.frame("replay_superseded", tenant=tenant, feed=feed, **places.bound).filter(places.has("winner_seq"))
    replaced = store.frame("replay_replaced", tenant=tenant, feed=feed, **places.bound).filter(places.has("by_seq"))
    return pl.concat([losers["seq"], replaced["seq"]]).cast(pl.UInt64).unique()


def _cast(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in CHOSEN.items())
