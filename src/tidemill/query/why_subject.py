"""Which series a question is about: by its id, or by feed, field and tags; also one that is deleted or never was."""

from typing import Any, Final

import msgspec

from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import SUMMARY, Feed
from tidemill.model.ids import format_series, series_id
from tidemill.query.parameters import Asked
from tidemill.query.series import Hidden
from tidemill.store.client import Store

MAX_LISTED: Final = 20  # series that a question fits, when it fits several


class Subject(msgspec.Struct, frozen=True):
    """A series. `number` is 0 when it is not known which one; `known`: the store has it or had it; `deleting`: its
    deletion is acknowledged and not applied yet. What has seq <= `deleted_seq` is not its any more."""

    number: int
    feed: str
    field: str | None
    tags: dict[str, str]
    known: bool = False
    deleted: bool = False
    deleting: bool = False
    deleted_seq: int = 0

    @property
    def id(self) -> str | None:
        """Its id as APIs show it."""
        return format_series(self.number) if self.number else None


class Subjects:
    """Finds the series of a question."""

    def __init__(self, store: Store, book: FeedBook, hidden: Hidden) -> None:
        self._store, self._book, self._hidden = store, book, hidden

    def find(self, tenant: str, asked: Asked) -> Subject:
        """The one series that fits. Raises NotFoundError for an id or feed that is none of the tenant's, and InputError
        when neither is given or several series fit; it lists them."""
        series, feed = asked["series"], asked["feed"]
        if series is None and feed is None:
            message = "say which series: by 'series', or by 'feed' with 'field' and tags (tag.NAME=VALUE)"
            raise InputError(message, (Fault("$query.series", "missing", message),))
        rows = self._store.rows(
            "why_series",
            tenant=tenant,
            series=series or 0,
            feed=feed or "",
            field=asked["field"] or "",
            tag_keys=list(asked["tag."]),
            tag_values=list(asked["tag."].values()),
            limit=MAX_LISTED + 1,
        )
        alive = [row for row in rows if not row["deleted"]] or rows
        if len(alive) > 1:
            raise _several(alive)
        if alive:
            return self._known(tenant, alive[0])
        if series is not None:
            raise NotFoundError(f"there is no series '{format_series(series)}' that fits")
        return _unknown(tenant, self._book.current(tenant, feed), asked)

    def _known(self, tenant: str, row: dict[str, Any]) -> Subject:
        return Subject(
            number=row["series"],
            feed=row["feed"],
            field=row["field"],
            tags=row["tags"],
            known=True,
            deleted=row["deleted"],
            deleting=row["series"] in self._hidden(tenant),
            deleted_seq=row["deleted_seq"],
        )


def _unknown(tenant: str, feed: Feed, asked: Asked) -> Subject:
    """A series that never was: what its id would be, where the question says enough. Raises InputError for a field that
    the feed does not have."""
    fields = SUMMARY if feed.shape.kind == "summary" else tuple(feed.fields)
    if asked["field"] and fields and feed.registers is None and asked["field"] not in fields:
        message = f"the feed '{feed.name}' has no field '{asked['field'][:80]}'; it has {', '.join(fields)}"
        raise InputError(message, (Fault("$query.field", "invalid", message),))
    field = asked["field"] or (fields[0] if len(fields) == 1 or fields is SUMMARY else None)
    tags: dict[str, str] = asked["tag."]
    whole = field is not None and tags.keys() == feed.tags.keys()
    return Subject(series_id(tenant, feed.name, tags, field) if whole and field else 0, feed.name, field, tags)


def _several(rows: list[dict[str, Any]]) -> InputError:
    listed = [_words(row) for row in rows[:MAX_LISTED]]
    count = f"{len(listed)}" if len(rows) <= MAX_LISTED else f"more than {MAX_LISTED}"
    faults = tuple(Fault("$query.series", "ambiguous", text) for text in listed)
    return InputError(f"{count} series fit; choose one by 'series', or name its 'field' and all of its tags", faults)


def _words(row: dict[str, Any]) -> str:
    tags = "".join(f", {name}={value}" for name, value in row["tags"].items())
    return f"series {format_series(row['series'])}: {row['field']}{tags}"
