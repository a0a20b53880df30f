"""How much is stored: by feed of a tenant, and on disk."""

from typing import Any, Final

import msgspec

from tidemill.store.client import Store

EXACT_ROWS: Final = 20_000_000  # of points: up to here replaced points are left out, which costs 2 s at most


class FeedStorage(msgspec.Struct, frozen=True):
    """What is stored of a feed. `payload_bytes`: as received, before compression. `points_bytes`: its share of the
    bytes of all points on disk, by the number of points."""

    feed: str
    payloads: int
    payload_bytes: int
    series: int
    points: int
    points_bytes: int
    rejections: int


class StoredTable(msgspec.Struct, frozen=True):
    """A table of the store on disk, compressed; of all tenants."""

    name: str
    rows: int
    bytes: int


class Stored(msgspec.Struct, frozen=True):
    """What the store holds. `exact`: `points` counts the points that count; else, where there are very many, also those
    that were replaced and are not merged away yet."""

    feeds: list[FeedStorage]
    tables: list[StoredTable]
    exact: bool


def read_storage(store: Store, tenant: str) -> Stored:
    """What the store holds of a tenant, by feed, and the tables of all. Raises StoreUnavailableError,
    StoreQueryError."""
    tables = [StoredTable(row["name"], row["rows"], row["bytes"]) for row in store.rows("storage_tables")]
    of_points = next((table for table in tables if table.name == "points"), StoredTable("points", 0, 0))
    exact = of_points.rows <= EXACT_ROWS
    by_feed: dict[str, dict[str, Any]] = {}
    for name in ("storage_payloads", "storage_points" if exact else "storage_point_rows", "storage_rejections"):
        for row in store.rows(name, tenant=tenant):
            by_feed.setdefault(row["feed"], {}).update(row)
    bytes_a_row = of_points.bytes / of_points.rows if of_points.rows else 0.0
    feeds = [_feed_storage(feed, row, bytes_a_row) for feed, row in sorted(by_feed.items())]
    return Stored(feeds, tables, exact)


def _feed_storage(feed: str, row: dict[str, Any], bytes_a_row: float) -> FeedStorage:
    points = row.get("points", 0)
    return FeedStorage(
        feed=feed,
        payloads=row.get("payloads", 0),
        payload_bytes=row.get("bytes", 0),
        series=row.get("series", 0),
        points=points,
        points_bytes=round(points * bytes_a_row),
        rejections=row.get("rejections", 0),
    )
