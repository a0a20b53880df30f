"""The rows of table `series` that a batch writes: of new series, and where one is described anew. Pure."""

import polars as pl

from tidemill.mill.known import words
from tidemill.mill.ledger import INSTANT


def series_rows(states: pl.DataFrame, tenant: str, described: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """The rows to write for the series of `points`, given what the shape says of them and what is known of them
    (`known.SERIES_STATES`).

    The row's version is the seq of the payload: whatever the order, the last writer's words stay.
    """
    written = points.group_by("series").agg(pl.col("seq").max().alias("by"), pl.col("received_ns").min())
    rows = described.unique("series", keep="last", maintain_order=True).join(written, on="series")
    rows = rows.join(states.rename({"words": "words_before"}), on="series").with_columns(words=words())
    is_new = (pl.col("version") == 0) | pl.col("deleted")
    says_more = (pl.col("words") != pl.col("words_before")) & (pl.col("by") >= pl.col("version"))
    created = pl.when(pl.col("created_ns") == 0).then("received_ns").otherwise("created_ns")
    return rows.filter(is_new | says_more).select(
        pl.lit(tenant).alias("tenant"),
        "series",
        "feed",
        "name",
        "field",
        "tags",
        pl.col("unit").fill_null(""),
        pl.col("description").fill_null(""),
        "deleted_seq",
        pl.lit(False).alias("deleted"),
        created.cast(INSTANT).alias("created_at"),
        pl.col("by").alias("version"),
    )
