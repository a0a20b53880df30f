"""The calls of a client, each as the requests that it makes and what it reads from the answers. No I/O."""

import time
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack
from urllib.parse import quote

import msgspec

from tidemill.client.documents import PayloadReceipt, SeriesInfo, SeriesInfoPage
from tidemill.client.exchange import exchange, params_of, read_json
from tidemill.client.forecast_operations import ForecastOperations
from tidemill.client.frames import FrameLibrary, arrow_tables, pandas_frame, polars_frames
from tidemill.client.question_operations import QuestionOperations
from tidemill.client.selection import (
    PAGE_POINTS,
    CountedProgress,
    Instant,
    PointSelection,
    PointsReply,
    Progress,
    instant_text,
    is_whole,
    next_cursor,
    only_series,
    query_of,
    wanted_text,
)
from tidemill.client.steps import (
    Call,
    Emit,
    HttpReply,
    HttpRequest,
    Operation,
    PagedOperation,
    Pages,
    Pause,
    collected,
    mapped,
)
from tidemill.errors import Fault, InputError, UnavailableError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_ANSWER_S = 15.0  # beyond a wait that was asked for
_LOOK_S = 0.25  # between two looks at a receipt
_LIST_PAGE = 1000
T = TypeVar("T")


class ClientOperations(ForecastOperations, QuestionOperations):
    """Every call. A caller gets the results from `Tidemill`, and awaits them from `AsyncTidemill`."""

    @Operation
    def send(
        self,
        feed: str,
        records: Any,
        *,
        wait: float | None = None,
        idempotency_key: str | None = None,
        content_type: str | None = None,
    ) -> Call[PayloadReceipt]:
        """Send one payload to a feed; returns when it is durable, with `wait` when it is applied or that many seconds
        are over (`state` says which).

        `records`: bytes or a text go as they are; any other value goes as JSON, NaN as null. The payload counts once
        however often it is sent: its Idempotency-Key is the same in every retry. With a key of the caller's own it
        counts once across calls and restarts, too, for 7 days.

        Raises InputProblemError when the feed refuses it (`receipt` then names the bytes that were kept),
        NotFoundProblemError for an unknown feed, ConflictProblemError for another body under the same key,
        UnavailableError.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        if wait is not None:
            headers["Prefer"] = f"wait={wait:g}"
        body = payload_bytes(records)
        if content_type or not isinstance(records, bytes | str):
            headers["Content-Type"] = content_type or "application/json"
        timeout_s = None if wait is None else wait + _ANSWER_S
        deadline = time.monotonic() + (wait or 0)
        path = f"/v1/feeds/{quote(feed, safe='')}"
        reply = yield from exchange(HttpRequest("POST", path, (), headers, body, timeout_s), self.patience_s)
        return (yield from self._applied(read_json(reply, PayloadReceipt), deadline))

    @Operation
    def receipt(self, id: str) -> Call[PayloadReceipt]:
        """What became of a payload. Raises NotFoundProblemError."""
        return (yield from self._receipt(id))

    @Operation
    def series(
        self,
        *,
        feed: str | None = None,
        field: str | None = None,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Call[list[SeriesInfo]]:
        """Every series that matches all of the filters, by feed, name, field and id."""
        return (yield from self._series({"feed": feed, "field": field, "name": name}, tags))

    @Operation
    def resolve(self, feed: str, field: str | None = None, tags: Mapping[str, str] | None = None) -> Call[SeriesInfo]:
        """The one series of a feed with this field and these tags. Raises NotFoundError for none, InputError for
        several, naming some."""
        return (yield from self._resolve(feed, field, tags))

    @Operation
    def points(
        self, series: str | None = None, *, progress: Progress | None = None, **selection: Unpack[PointSelection]
    ) -> Call["pl.DataFrame"]:
        """Points of one series as a Polars frame, in time order: `time` (ns, in `tz` or UTC) and `value` (null:
        missing), or with `every` a column for each aggregate. Of a series by its id, or by `feed`, `field` and `tags`.

        Reads page by page and calls `progress` after each. Raises NotFoundError, InputError (also where several series
        match), UnavailableError, and MissingPackageError where Polars is not installed.
        """
        return (yield from self._whole_frame(polars_frames(), series, selection, progress))

    @Operation
    def points_arrow(
        self, series: str | None = None, *, progress: Progress | None = None, **selection: Unpack[PointSelection]
    ) -> Call["pa.Table"]:
        """As `points`, as a table of PyArrow."""
        return (yield from self._whole_frame(arrow_tables(), series, selection, progress))

    @Operation
    def points_pandas(
        self, series: str | None = None, *, progress: Progress | None = None, **selection: Unpack[PointSelection]
    ) -> Call["pd.DataFrame"]:
        """As `points`, as a pandas frame (NaN: missing); needs PyArrow, too."""
        return pandas_frame((yield from self._whole_frame(arrow_tables(), series, selection, progress)))

    @PagedOperation
    def point_pages(
        self, series: str | None = None, *, progress: Progress | None = None, **selection: Unpack[PointSelection]
    ) -> Pages["pl.DataFrame"]:
        """As `points`, one frame after the other: for more points than fit into memory."""
        yield from self._frames(polars_frames(), series, selection, progress)

    @PagedOperation
    def text_pages(
        self,
        format: Literal["csv", "ndjson"],
        series: str | None = None,
        *,
        progress: Progress | None = None,
        **selection: Unpack[PointSelection],
    ) -> Pages[bytes]:
        """As `point_pages`, as the bytes of one CSV (its line of names first) or of lines of JSON. Raw points have
        their flags and marks."""
        counted = CountedProgress(progress)

        def read_text(page: PointsReply) -> bytes:
            lines = page.body.partition(b"\n")[2] if format == "csv" else page.body
            counted.add(lines.count(b"\n"), page.total)
            return page.body if page.first else lines

        yield from mapped(self._replies(series, selection, format), read_text)

    @Operation
    def points_page(
        self,
        series: str,
        format: Literal["csv", "ndjson", "arrow"],
        *,
        cursor: str | None = None,
        **selection: Unpack[PointSelection],
    ) -> Call[tuple[bytes, str | None]]:
        """One page of the points of a series as bytes, and the cursor of the following page (null: there is none).
        `cursor` null: the first page. A page of csv begins with the names of the columns."""
        query = {**query_of(selection), "format": format, "limit": PAGE_POINTS, "cursor": cursor}
        reply = yield from self._get(f"/v1/series/{quote(series, safe='')}/points", params_of(query))
        return reply.body, next_cursor(reply.headers.get("link", ""))

    @Operation
    def metrics(
        self,
        series: str,
        *,
        start: Instant | None = None,
        end: Instant | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> Call[dict[str, Any]]:
        """Location, spread, shape, amplitude and sampling of the samples of a series in [start, end), by name."""
        texts = None if quantiles is None else ",".join(map(str, quantiles))
        query = {"start": instant_text(start, "start"), "end": instant_text(end, "end"), "q": texts}
        reply = yield from self._get(f"/v1/series/{quote(series, safe='')}/metrics", params_of(query))
        return read_json(reply, dict[str, Any])

    @Operation
    def rejections(
        self,
        *,
        feed: str | None = None,
        series: str | None = None,
        reason: str | None = None,
        receipt: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        limit: int | None = None,
    ) -> Call[list[dict[str, Any]]]:
        """Records that became no points, newest first, each with its reasons and the record as sent; at most `limit`
        (null: all). `start` and `end` are times of receipt. For keys with the scope `admin`."""
        filters = {"feed": feed, "series": series, "reason": reason, "receipt": receipt}
        times = {"start": instant_text(start, "start"), "end": instant_text(end, "end")}
        items: list[dict[str, Any]] = []
        cursor = None
        while True:
            size = _LIST_PAGE if limit is None else min(_LIST_PAGE, limit - len(items))
            if size < 1:
                return items
            query = {**filters, **times, "limit": size, "cursor": cursor}
            reply = yield from self._get("/v1/rejections", params_of(query))
            page = read_json(reply, dict[str, Any])
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items

    @Operation
    def why(
        self,
        feed: str | None = None,
        field: str | None = None,
        tags: Mapping[str, str] | None = None,
        time: Instant | None = None,
        *,
        series: str | None = None,
    ) -> Call[dict[str, Any]]:
        """The story of one instant of a series: its `events` and the `verdict`, each with a sentence. Of a series by
        its id, or by `feed`, `field` and `tags`. For keys with the scope `admin`."""
        query = {"feed": feed, "field": field, "series": series, "time": instant_text(time, "time")}
        reply = yield from self._get("/v1/why", params_of(query, tags))
        return read_json(reply, dict[str, Any])

    @Operation
    def feeds(self) -> Call[list[dict[str, Any]]]:
        """Every feed, by name, in the version in force."""
        reply = yield from self._get("/v1/feeds")
        items: list[dict[str, Any]] = read_json(reply, dict[str, Any])["items"]
        return items

    @Operation
    def apply_feed(self, toml: str) -> Call[dict[str, Any]]:
        """Make the feed that a TOML text defines, or its next version. The text in force again changes nothing. For
        keys with the scope `admin`. Raises InputProblemError naming every fault with its line."""
        name = feed_name(toml)
        request = HttpRequest("PUT", f"/v1/feeds/{quote(name, safe='')}", (), {}, toml.encode())
        reply = yield from exchange(request, self.patience_s)
        return read_json(reply, dict[str, Any])

    @Operation
    def changes(
        self, *, feed: str | None = None, since: Instant | None = None, cursor: str | None = None
    ) -> Call[tuple[list[dict[str, Any]], str]]:
        """Published values that changed at `since` or later, or after `cursor` (neither: all that are kept), oldest
        first, and the cursor of what follows. An empty list: nothing more yet."""
        begin = {"since": instant_text(since, "since")} if cursor is None else {"cursor": cursor}
        reply = yield from self._get("/v1/changes", params_of({"feed": feed, "limit": _LIST_PAGE, **begin}))
        page = read_json(reply, dict[str, Any])
        return page["items"], page["next"]

    @Operation
    def analysis(self, name: str, series: str, /, **parameters: Any) -> Call[dict[str, Any]]:
        """An analysis of a series as the API answers it: `autocorrelation`, `spectrum`, `profile`, `coverage` and what
        else is at `GET /v1/series/{id}/{name}`, with its parameters; `with_` stands for `with`."""
        path = f"/v1/series/{quote(series, safe='')}/{quote(name, safe='')}"
        reply = yield from self._get(path, params_of({key.rstrip("_"): value for key, value in parameters.items()}))
        return read_json(reply, dict[str, Any])

    @Operation
    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Call[dict[str, Any]]:
        """The document of any route, for what has no call of its own. A POST is sent once, so that it has one effect;
        others are tried again as every call. `json` is sent as JSON, `body` as it is."""
        sent = msgspec.json.encode(json) if json is not None else body
        headers = ({"Content-Type": "application/json"} if json is not None else {}) | dict(headers or {})
        request = HttpRequest(method, path, params_of(params or {}), headers, sent)
        reply = yield from exchange(request, 0 if method == "POST" else self.patience_s)
        return read_json(reply, dict[str, Any])

    def _get(self, path: str, params: tuple[tuple[str, str], ...] = ()) -> Call[HttpReply]:
        return (yield from exchange(HttpRequest("GET", path, params), self.patience_s))

    def _receipt(self, id: str) -> Call[PayloadReceipt]:
        reply = yield from self._get(f"/v1/receipts/{quote(id, safe='')}")
        return read_json(reply, PayloadReceipt)

    def _applied(self, receipt: PayloadReceipt, deadline: float) -> Call[PayloadReceipt]:
        """The receipt once it is applied, or as it is at the deadline: a server waits less long where it is busy. The
        payload is durable, so that it is no error when the store cannot be read."""
        with suppress(UnavailableError):
            while receipt.state == "stored" and time.monotonic() < deadline:
                yield Pause(_LOOK_S)
                receipt = yield from self._receipt(receipt.id)
        return receipt

    def _series(self, filters: Mapping[str, str | None], tags: Mapping[str, str] | None) -> Call[list[SeriesInfo]]:
        items: list[SeriesInfo] = []
        cursor = None
        while True:
            query = {**filters, "limit": _LIST_PAGE, "cursor": cursor}
            reply = yield from self._get("/v1/series", params_of(query, tags))
            page = read_json(reply, SeriesInfoPage)
            items += page.items
            cursor = page.next
            if cursor is None:
                return items

    def _resolve(self, feed: str, field: str | None, tags: Mapping[str, str] | None) -> Call[SeriesInfo]:
        matching = yield from self._series({"feed": feed, "field": field}, tags)
        return only_series(matching, wanted_text(feed, field, tags))

    def _replies(self, series: str | None, selection: PointSelection, format: str) -> Pages[PointsReply]:
        """The pages of the points of one series, in a format."""
        query = {**query_of(selection), "format": format, "limit": PAGE_POINTS}
        total = None
        if series is None:
            feed, field, tags = selection.get("feed"), selection.get("field"), selection.get("tags")
            if not feed:
                message = "name a series by its id, or by feed, field and tags"
                raise InputError(message, (Fault("series", "missing", message),))
            info = yield from self._resolve(feed, field, tags)
            series, total = info.id, info.count if is_whole(selection) else None
        path = f"/v1/series/{quote(series, safe='')}/points"
        cursor, first = None, True
        while first or cursor is not None:
            reply = yield from self._get(path, params_of({**query, "cursor": cursor}))
            yield Emit(PointsReply(reply.body, first, total))
            cursor, first = next_cursor(reply.headers.get("link", "")), False

    def _whole_frame(
        self, library: FrameLibrary[T], series: str | None, selection: PointSelection, progress: Progress | None
    ) -> Call[T]:
        return library.join_pages((yield from collected(self._frames(library, series, selection, progress))))

    def _frames(
        self, library: FrameLibrary[T], series: str | None, selection: PointSelection, progress: Progress | None
    ) -> Pages[T]:
        counted = CountedProgress(progress)

        def read_frame(page: PointsReply) -> T:
            frame: Any = library.read_page(page.body, selection.get("tz"))
            counted.add(len(frame), page.total)
            return frame  # type: ignore[no-any-return]  # frames of any library have a length

        yield from mapped(self._replies(series, selection, "arrow"), read_frame)


def payload_bytes(records: Any) -> bytes:
    """The bytes of a payload: of bytes and texts as they are, of any other value as JSON. Raises InputError."""
    if isinstance(records, bytes):
        return records
    if isinstance(records, str):
        return records.encode()
    try:
        return msgspec.json.encode(records)
    except (TypeError, ValueError) as error:
        message = f"these records cannot be written as JSON: {error}"
        raise InputError(message, (Fault("records", "not_json", message),)) from None


def feed_name(toml: str) -> str:
    """The name of the feed that a text defines. Raises InputError for a text that is no TOML or has none."""
    try:
        name = tomllib.loads(toml).get("name")
    except tomllib.TOMLDecodeError as error:
        message = f"the feed's text is no TOML: {error}"
        raise InputError(message, (Fault("toml", "not_toml", message),)) from None
    if not isinstance(name, str) or not name:
        message = 'the feed\'s text has no name, such as name = "pumps"'
        raise InputError(message, (Fault("toml: name", "missing", message),))
    return name
