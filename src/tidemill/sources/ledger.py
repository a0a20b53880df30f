"""Converts polls to a frame of the store's table `polls`, the poll ledger."""

from collections.abc import Sequence

import polars as pl

from tidemill.sources.state import Poll
from tidemill.store.tables import table


def poll_rows(polls: Sequence[Poll]) -> pl.DataFrame:
    """A row for each poll, in order. A poll without a digest has 32 zero bytes, one without a next poll a null."""
    columns = {
        "tenant": [poll.tenant for poll in polls],
        "feed": [poll.feed for poll in polls],
        "item": [poll.item for poll in polls],
        "started_at": [poll.started_ns for poll in polls],
        "result": [poll.result for poll in polls],
        "status": [poll.status for poll in polls],
        "latency_ms": [poll.latency_ms for poll in polls],
        "bytes": [poll.size_bytes for poll in polls],
        "records": [poll.records for poll in polls],
        "sha256": [poll.sha256.ljust(32, b"\0") for poll in polls],
        "receipt": [poll.receipt for poll in polls],
        "detail": [poll.detail for poll in polls],
        "next_due": pl.Series([poll.next_due_ns for poll in polls], dtype=pl.Int64),
    }
    return table("polls").rows(pl.DataFrame(columns))
