"""Raw points of one series by the cheapest question: rows without the engine's FINAL, where no row replaced another.

Points are nearly always sent once. Where the rows of a range show that one was sent twice (two rows of one instant),
the question is asked again with FINAL, which knows which of them counts.
"""

import polars as pl

from tidemill.query.parameters import TimeRange
from tidemill.query.series import Description
from tidemill.store.client import Store


def plain_points(
    store: Store, tenant: str, described: Description, span: TimeRange, limit: int, *, descending: bool = False
) -> pl.DataFrame | None:
    """At most `limit` points in a span in the order of (`ns`, `ordinal`), with `value`, `flags` and `marked` (how many
    marks); null where rows do not show which points count: one was replaced, or some of the series are deleted."""
    if described.deleted_seq:
        return None
    rows = store.frame(
        "points_plain_page_descending" if descending else "points_plain_page",
        tenant=tenant,
        series=described.series,
        first=span.first_ns,
        last=span.last_ns,
        limit=limit,
    )
    later, earlier = rows[1:], rows[:-1]
    if ((later["ns"] == earlier["ns"]) & (later["ordinal"] == earlier["ordinal"])).any():
        return None
    return rows
