"""Converts polls to a frame of the store's table `polls`, the poll ledger."""

from collections.abc import Sequence

import polars as pl

from tidemill.sources.state import Poll

_INSTANT = pl.Datetime("ns", "UTC")


def poll_rows(polls: Sequence[Poll]) -> pl.DataFrame:
    """A row for each poll, in order. A poll without a digest has 32 zero bytes, one without a next poll a null."""
    return pl.DataFrame(
        {
            "tenant": [poll.tenant for poll in polls],
            "feed": [poll.feed for poll in polls],
            "item": [poll.item for poll in polls],
            "started_at": pl.Series([poll.started_ns for poll in polls], dtype=pl.Int64).cast(_INSTANT),
            "result": [poll.result for poll in polls],
            "status": pl.Series([poll.status for poll in polls], dtype=pl.UInt16),
            "latency_ms": pl.Series([poll.latency_ms for poll in polls], dtype=pl.Float64),
            "bytes": pl.Series([poll.size_bytes for poll in polls], dtype=pl.UInt64),
            "records": pl.Series([poll.records for poll in polls], dtype=pl.UInt64),
            "sha256": pl.Series([poll.sha256.ljust(32, b"\0") for poll in polls], dtype=pl.Binary),
            "receipt": [poll.receipt for poll in polls],
            "detail": [poll.detail for poll in polls],
            "next_due": pl.Series([poll.next_due_ns for poll in polls], dtype=pl.Int64).cast(_INSTANT),
        }
    )
