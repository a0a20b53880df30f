"""Rows of table `series`: written when a series is new, is back after its deletion, or is described anew."""

import polars as pl

from tidemill.mill.known import KnownSeries, meta
from tidemill.mill.ledger import INSTANT


def series_rows(known: KnownSeries, tenant: str, described: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """The rows to write for the series of `points`, given what the shape says of them. `known` is brought up to date.

    The row's version is the seq of the payload: whatever the order, the last writer's words stay.
    """
    latest = points.group_by("series").agg(
        pl.col("seq").max().alias("version"), pl.col("received_ns").min().alias("received_ns")
    )
    described = described.unique("series", keep="last", maintain_order=True).join(latest, on="series")
    chosen, created, deleted_seqs = [], [], []
    rows = described.select("series", "feed", "name", "unit", "description", "version", "received_ns").iter_rows()
    for place, (series, feed, name, unit, description, version, received_ns) in enumerate(rows):
        state = known.state(series)
        words = meta(feed, name, unit or "", description or "")
        if state.version and not state.deleted and (words == state.meta or version < state.version):
            continue
        state.created_ns = state.created_ns or received_ns
        state.version, state.meta, state.deleted = max(version, state.version), words, False
        chosen.append(place)
        created.append(state.created_ns)
        deleted_seqs.append(state.deleted_seq)
    return described[chosen].select(
        pl.lit(tenant).alias("tenant"),
        "series",
        "feed",
        "name",
        "field",
        "tags",
        pl.col("unit").fill_null(""),
        pl.col("description").fill_null(""),
        pl.Series("deleted_seq", deleted_seqs, dtype=pl.UInt64),
        pl.lit(False).alias("deleted"),
        pl.Series("created_at", created, dtype=pl.Int64).cast(INSTANT),
        "version",
    )


def remember(known: KnownSeries, points: pl.DataFrame) -> None:
    """Raise the latest instant of every series of `points`."""
    for series, latest in points.group_by("series").agg(pl.col("time").max()).iter_rows():
        state = known.state(series)
        state.latest = max(state.latest, latest)
