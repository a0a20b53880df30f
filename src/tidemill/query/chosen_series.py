"""The series of a question: by their ids, by feed, field, name and tags, or by both."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from tidemill.errors import Fault, InputError, LimitError, NotFoundError
from tidemill.model.ids import format_series
from tidemill.query import readers
from tidemill.query.parameters import TEXT, Parameter
from tidemill.query.series import Hidden, SeriesFilter
from tidemill.query.series_rows import Description
from tidemill.store.client import Store

MAX_SERIES: Final = 1_000  # of one question


def series_ids(text: str, context: readers.Context) -> tuple[int, ...]:
    """A reader of ids of series, separated by commas; repeated ids are returned once."""
    ids = text.split(",")
    return readers.read_each(ids, lambda item: readers.series(item.strip(), context))


SeriesIds = Annotated[
    tuple[int, ...],
    Parameter("Ids of series, separated by commas; in their order they are answered.", series_ids, TEXT),
]


def choose_series(
    store: Store, tenant: str, chosen: SeriesFilter, ids: Sequence[int], hidden: Hidden
) -> list[Description]:
    """The descriptions of the series that match all filters: in the order of `ids`, else by feed, name and field.

    Raises InputError where a question chooses nothing, NotFoundError for ids that do not match, and for filters that
    nothing matches; LimitError for more than MAX_SERIES series.
    """
    if not ids and not (chosen.feed or chosen.field or chosen.name or chosen.tags):
        message = "say which series: by 'series' (ids), or by 'feed', 'field', 'name' and tags (tag.NAME=VALUE)"
        raise InputError(message, (Fault("$query.series", "missing", message),))
    _check_count(len(ids))
    rows = store.rows(
        "series_chosen",
        tenant=tenant,
        hidden=sorted(hidden(tenant)),
        series=list(ids),
        feed=chosen.feed or "",
        field=chosen.field or "",
        name=chosen.name or "",
        tag_keys=list(chosen.tags),
        tag_values=list(chosen.tags.values()),
        limit=MAX_SERIES + 1,
    )
    _check_count(len(rows))
    described = {row["series"]: msgspec.convert(row, Description) for row in rows}
    lacking = [format_series(number) for number in ids if number not in described]
    if lacking:
        raise NotFoundError(
            f"there is no series '{lacking[0]}'" + (" that fits" if len(ids) > 1 or chosen.feed else "")
        )
    if not described:
        raise NotFoundError("there is no series that fits")
    return [described[number] for number in ids] if ids else list(described.values())


def _check_count(count: int) -> None:
    if count > MAX_SERIES:
        message = f"More than {MAX_SERIES} series fit; choose fewer by feed, field, name, tags or ids"
        raise LimitError("max_series", MAX_SERIES, message)


def bound_series(described: Sequence[Description]) -> dict[str, Any]:
    """The parameters `series` and `deleted_seqs` of queries of several series."""
    return {"series": [item.series for item in described], "deleted_seqs": [item.deleted_seq for item in described]}
