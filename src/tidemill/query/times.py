"""Columns of instants as texts, the way the API writes them."""

import polars as pl


def instants(ns: pl.Series, zone: str = "UTC") -> pl.Series:
    """Ns since the epoch -> RFC 3339 with only as many fraction digits as needed, and `Z` or the zone's offset."""
    local = ns.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    digits = local.dt.to_string("%Y-%m-%dT%H:%M:%S%.9f").str.strip_chars_end("0").str.strip_chars_end(".")
    return digits + ("Z" if zone == "UTC" else local.dt.to_string("%:z"))
