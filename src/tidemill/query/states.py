"""The state of the points, or of the rollup windows, from which an answer about a closed range was made, as a tag.

An answer is the same while its tag is: the state is read before the answer, and anything that changes an answer (a
point that comes, is replaced, withdrawn or deleted, a series that is described anew) changes the state. Rows that
others replaced count until the store merges them: then an answer is sent again without need.
"""

from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from tidemill import __version__
from tidemill.feeds.definition import Feed
from tidemill.query.answers import Page
from tidemill.query.chosen_series import MAX_SERIES
from tidemill.query.parameters import TimeRange, time_range
from tidemill.query.series_rows import Description
from tidemill.store.client import Store

_TAG_BYTES: Final = 12


def is_closed(query: Any) -> bool:
    """Whether a question is about a closed range."""
    return query.start is not None and query.end is not None


def points_state(store: Store, tenant: str, series: Mapping[int, int], span: TimeRange) -> Any:
    """The state of the points of series (id to the offset up to which it is deleted) in a span: how many rows, and the
    sum of their hashes."""
    chosen = {"series": list(series), "deleted_seqs": list(series.values()), "firsts": [span.first_ns] * len(series)}
    bound = {"first": span.first_ns, "last": span.last_ns, "nulls": 1, "good": 0, "mark": ""}
    return store.rows("points_state", tenant=tenant, **chosen, **bound)


def rollups_state(store: Store, tenant: str, series: Sequence[int], every_s: int, span: TimeRange) -> Any:
    """The same of rollup windows that begin in a span."""
    bound = {"first": span.first_ns, "last": span.last_ns, "every_s": every_s}
    return store.rows("rollups_state", tenant=tenant, series=list(series), **bound)


def series_tag(
    store: Store,
    tenant: str,
    query: msgspec.Struct,
    series: Sequence[Description],
    span: TimeRange,
    *,
    rollup_s: int = 0,
) -> str:
    """The tag of an answer that follows from the points of series in a span, or from rollup windows of `rollup_s`."""
    deleted = {item.series: item.deleted_seq for item in series}
    if rollup_s:
        state = rollups_state(store, tenant, list(deleted), rollup_s, span)
    else:
        state = points_state(store, tenant, deleted, span)
    return answer_tag(tenant, query, series, [rollup_s, state])


def feed_tag(
    store: Store, tenant: str, query: Any, feed: Feed, filters: Mapping[str, Any], *, field: str = "", every_s: int = 0
) -> str | None:
    """The tag of an answer that follows from the points of a feed, or from its rollup windows of `every_s`; None for an
    open range, and for a feed of too many series."""
    if not is_closed(query):
        return None
    rows = store.rows("feed_series", **filters, field=field)
    if len(rows) > MAX_SERIES:
        return None
    deleted, span = {row["series"]: row["deleted_seq"] for row in rows}, time_range(query.start, query.end)
    if every_s:
        state = rollups_state(store, tenant, list(deleted), every_s, span)
    else:
        state = points_state(store, tenant, deleted, span)
    return answer_tag(tenant, query, [feed.name, feed.version, rows], state)


def answer_tag(tenant: str, query: msgspec.Struct, described: Any, state: Any) -> str:
    """The tag of the answer of this server to a question about series as `described`, whose data has this state."""
    kind = type(query).__name__
    data = msgspec.json.encode([__version__, tenant, kind, query, described, state])
    return blake2b(data, digest_size=_TAG_BYTES).hexdigest()


def unchanged(tag: str) -> Page:
    """In place of an answer that the client has already."""
    return Page(b"", etag=tag, unchanged=True)


def tagged(page: Page, tag: str | None) -> Page:
    """A page with the tag of its state."""
    return page if tag is None else msgspec.structs.replace(page, etag=tag)


Known = Collection[str]  # tags of answers that the client has
