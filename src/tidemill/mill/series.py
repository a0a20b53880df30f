"""The rows of table `series` that a batch writes: of new series, and of series with a new description. Pure."""

import polars as pl

from tidemill.mill.known import words
from tidemill.store.tables import table


def series_rows(states: pl.DataFrame, tenant: str, described: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """The rows to write for the series of `points`, given what the shape says of them and what is known of them
    (`known.SERIES_STATES`).

    The row's version is the seq of the payload, so the description of the last payload stays, whatever the order.
    """
    is_new = (pl.col("version") == 0) | pl.col("deleted")
    rows = described.unique("series", keep="last", maintain_order=True).with_columns(said=words())
    rows = rows.join(states, on="series").filter(is_new | (pl.col("said") != pl.col("words")))
    if rows.is_empty():
        return pl.DataFrame(schema=table("series").columns)
    written = points.group_by("series").agg(pl.col("seq").max().alias("by"), pl.col("received_ns").min())
    rows = rows.join(written, on="series").filter(is_new | (pl.col("by") >= pl.col("version")))
    created = pl.when(pl.col("created_ns") == 0).then("received_ns").otherwise("created_ns")
    return table("series").rows(
        rows,
        tenant=tenant,
        unit=pl.col("unit").fill_null(""),
        description=pl.col("description").fill_null(""),
        deleted=False,
        created_at=created,
        version=pl.col("by"),
    )
