"""Instants as the texts of answers, in columns."""

import polars as pl


def format_instants(ns: pl.Series, zone: str = "UTC") -> pl.Series:
    """RFC 3339 texts of ns since the epoch, with as few fraction digits as possible and `Z` or the zone's offset."""
    local = ns.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    digits = local.dt.to_string("%Y-%m-%dT%H:%M:%S%.9f").str.strip_chars_end("0").str.strip_chars_end(".")
    return digits + ("Z" if zone == "UTC" else local.dt.to_string("%:z"))
