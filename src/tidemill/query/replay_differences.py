"""The whole difference of a replay, in pages and as files: windows, points or records."""

from typing import Annotated, Any, Final, Literal

import msgspec

from tidemill.errors import Fault, InputError, NotFoundError
from tidemill.query.answers import MEDIA_TYPES, STORE_FORMATS, Page, json_page
from tidemill.query.cursors import encode_cursor
from tidemill.query.parameters import QueryParameters, limit_of_files, one_of, page_cursor
from tidemill.query.series import Hidden
from tidemill.store.client import Store

MAX_PAGE: Final = 1000
MAX_EXPORTED: Final = 1_000_000
_DEFAULT_PAGE: Final = 100
Kind = Literal["windows", "points", "records"]


class DifferenceQuery(QueryParameters, frozen=True):
    """A page of a replay's difference, or a file of it."""

    kind: Annotated[Kind, one_of("What changes: `windows`, `points` or `records`.", "windows", "points", "records")] = (
        "windows"
    )
    limit: Annotated[int | None, limit_of_files("rows", _DEFAULT_PAGE, MAX_PAGE, MAX_EXPORTED)] = None
    cursor: Annotated[tuple[int] | None, page_cursor(int)] = None
    format: Annotated[
        Literal["json", "csv", "ndjson", "parquet"],
        one_of("`json` a page; the others the whole kind.", "json", "csv", "ndjson", "parquet"),
    ] = "json"

    @property
    def page_limit(self) -> int:
        """The most rows of a page. Raises InputError for a limit that only files may have."""
        count = self.limit or _DEFAULT_PAGE
        if count > MAX_PAGE:
            message = f"a page has at most {MAX_PAGE} rows; format=csv, ndjson or parquet gives more at once"
            raise InputError(message, (Fault("$query.limit", "invalid", message),))
        return count


class DifferingWindow(msgspec.Struct, frozen=True):
    """A rollup window that changes; a mean is null where it has no points. `field` is empty and `tags` are where the
    series does not exist yet."""

    series: str
    field: str
    tags: dict[str, str]
    window: str
    every_s: int
    old_mean: float | None
    old_count: int
    new_mean: float | None
    new_count: int


class DifferingPoint(msgspec.Struct, frozen=True):
    """A point that is `added`, `removed` or `changed`; a value is null where there is none."""

    series: str
    field: str
    tags: dict[str, str]
    time: str
    change: Literal["added", "removed", "changed"]
    old: float | None
    new: float | None


class DifferingRecord(msgspec.Struct, frozen=True):
    """A record that is newly `accepted` or `rejected`, or rejected for other `reasons`."""

    receipt: str
    index: int
    time: str | None
    change: Literal["accepted", "rejected", "reasons"]
    old_reasons: list[str]
    new_reasons: list[str]


class DifferencePage(msgspec.Struct, frozen=True):
    """A page of one `kind` of a replay's difference; the lists of the other kinds are empty. `totals`: how many rows of
    each kind are kept, at most a million, those with the largest changes."""

    replay: str
    kind: Kind
    totals: dict[str, int]
    windows: list[DifferingWindow]
    points: list[DifferingPoint]
    records: list[DifferingRecord]
    next: str | None


_ITEMS: Final[dict[str, Any]] = {"windows": DifferingWindow, "points": DifferingPoint, "records": DifferingRecord}


class ReplayDifferences:
    """Reads the differences of replays."""

    def __init__(self, store: Store, hidden: Hidden) -> None:
        self._store, self._hidden = store, hidden

    def answer(self, tenant: str, replay: str, feed: str, query: DifferenceQuery, *, changes: bool) -> Page:
        """A DifferencePage, or a file. `changes`: whether the replay changes anything, so that rows must be there.
        Raises NotFoundError where they are not kept any more, InputError for a limit too high."""
        rows = self._store.rows("differences_totals", tenant=tenant, replay=replay)
        if changes and not rows:
            message = f"the difference of replay '{replay[:64]}' is not kept any more: run it again as a dry run"
            raise NotFoundError(message)
        first = 0 if query.cursor is None else max(0, query.cursor[0])
        bound = {"tenant": tenant, "replay": replay, "feed": feed, "kind": query.kind, "after": first}
        bound["hidden"] = list(self._hidden(tenant))
        if query.format != "json":
            stream = self._store.stream(
                f"differences_{query.kind}", STORE_FORMATS[query.format], **bound, limit=query.limit or MAX_EXPORTED
            )
            return Page(stream, MEDIA_TYPES[query.format])
        limit = query.page_limit
        found = self._store.rows(f"differences_{query.kind}", **bound, limit=limit + 1)
        following = encode_cursor(found[limit]["row"]) if len(found) > limit else None
        items: dict[str, list[Any]] = {name: [] for name in _ITEMS}
        items[query.kind] = [msgspec.convert(row, _ITEMS[query.kind]) for row in found[:limit]]
        totals = dict.fromkeys(_ITEMS, 0) | {row["kind"]: row["total"] for row in rows}
        return json_page(DifferencePage(replay, query.kind, totals, **items, next=following), following)
