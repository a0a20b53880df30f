"""The sentence for a record without an instant, which names what is missing or wrong in it."""

from typing import Final

import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.rules.reasons import REASONS

_SHOWN: Final = 64  # characters of a zone's name
_REASON: Final = pl.col("time_reason")
_SENTENCE: Final = _REASON.replace_strict(dict(REASONS), default=None, return_dtype=pl.String)


def time_detail(feed: Feed) -> pl.Expr:
    """The sentence for the `time_reason` of a record of a frame with `zone`; null where it has an instant."""
    missing = ", ".join(feed.time.zone_position or ()) or feed.time.zone_path
    detail = _SENTENCE
    if missing is not None:
        where = f"The time is local and the record says nothing of where: {missing} is missing."
        detail = pl.when(_REASON == "zone_missing").then(pl.lit(where)).otherwise(detail)
    if feed.time.zone_path is not None:
        named = pl.format(
            "The record names the time zone '{}', which does not exist; {} must be a name of the IANA list, such as"
            " Europe/Berlin.",
            pl.col("zone").cast(pl.String).str.slice(0, _SHOWN),
            pl.lit(feed.time.zone_path),
        )
        detail = pl.when(_REASON == "zone_unknown").then(named).otherwise(detail)
    return detail
