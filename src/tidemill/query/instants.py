"""Instants as the texts of answers, in columns."""

import polars as pl


def format_instants(ns: pl.Series, zone: str = "UTC") -> pl.Series:
    """RFC 3339 texts of ns since the epoch, with as few fraction digits as possible and `Z` or the zone's offset."""
    return pl.select(instant_texts(pl.lit(ns), zone).alias(ns.name)).to_series()


def instant_texts(ns: pl.Expr, zone: str) -> pl.Expr:
    """The same as an expression: each operation on a column by itself costs 0.1 ms."""
    local = ns.cast(pl.Datetime("ns"))
    if zone != "UTC":
        local = local.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    digits = local.dt.to_string("%Y-%m-%dT%H:%M:%S%.9f").str.strip_chars_end("0").str.strip_chars_end(".")
    return digits + (pl.lit("Z") if zone == "UTC" else local.dt.to_string("%:z"))
