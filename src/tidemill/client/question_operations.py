"""The calls about several series at once. No I/O, as `operations.py`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import msgspec

from tidemill.client.exchange import exchange, params_of, read_json
from tidemill.client.frames import arrow_tables, pandas_frame, polars_frames
from tidemill.client.selection import PointSelection, instant_text, query_of
from tidemill.client.steps import Call, HttpReply, HttpRequest, Operation

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class QuestionOperations:
    """Points of several series, and questions that group series and compute with them."""

    patience_s: float

    @Operation
    def many_points(self, series: Sequence[str] = (), /, **selection: Unpack[PointSelection]) -> Call["pl.DataFrame"]:
        """Points of several series as a Polars frame with a row for each series and time (raw points series by series,
        windows by time): `series` (the id), `time`, and `value` or with `every` the aggregates. The series by their
        ids, or all that match `feed`, `field` and `tags`; at most 1,000. Raises NotFoundError, InputError,
        UnavailableError, MissingPackageError."""
        library = polars_frames()
        reply = yield from self._many(series, selection, "arrow")
        return library.read_page(reply.body, selection.get("tz"))

    @Operation
    def many_points_text(
        self, format: Literal["csv", "ndjson"], series: Sequence[str] = (), /, **selection: Unpack[PointSelection]
    ) -> Call[bytes]:
        """As `many_points`, as the bytes of a CSV or of lines of JSON."""
        return (yield from self._many(series, selection, format)).body

    @Operation
    def query(self, select: Mapping[str, Any], /, **question: Any) -> Call[dict[str, Any]]:
        """Windows of several series, grouped and computed with, as `POST /v1/query` answers: `time`, and for each group
        the columns of every selection and expression. `select` is `{"feed": ...}`, or such selections by name;
        `question` are the other members (`start`, `end`, `every`, `agg`, `tz`, `as_of`, `group_by`, `across`,
        `expressions`, `evidence`, `thin`). With `limit` a page of so many windows, whose `next` is the `cursor` of the
        following one."""
        return read_json((yield from self._answer(select, question)), dict[str, Any])

    @Operation
    def query_frame(self, select: Mapping[str, Any], /, **question: Any) -> Call["pl.DataFrame"]:
        """As `query`, as a Polars frame with a row for each group, selection or expression, and window: `name`,
        `tag.NAME` for each tag of the groups, `time`, and the aggregates."""
        library = polars_frames()
        reply = yield from self._answer(select, {**question, "format": "arrow"})
        return library.read_page(reply.body, question.get("tz"))

    @Operation
    def query_arrow(self, select: Mapping[str, Any], /, **question: Any) -> Call["pa.Table"]:
        """As `query_frame`, as a table of PyArrow."""
        library = arrow_tables()
        reply = yield from self._answer(select, {**question, "format": "arrow"})
        return library.read_page(reply.body, question.get("tz"))

    @Operation
    def query_pandas(self, select: Mapping[str, Any], /, **question: Any) -> Call["pd.DataFrame"]:
        """As `query_frame`, as a pandas frame (NaN: missing); needs PyArrow, too."""
        library = arrow_tables()
        reply = yield from self._answer(select, {**question, "format": "arrow"})
        return pandas_frame(library.read_page(reply.body, question.get("tz")))

    @Operation
    def query_text(
        self, format: Literal["csv", "ndjson"], select: Mapping[str, Any], /, **question: Any
    ) -> Call[bytes]:
        """As `query_frame`, as the bytes of a CSV or of lines of JSON."""
        return (yield from self._answer(select, {**question, "format": format})).body

    def _many(self, series: Sequence[str], selection: PointSelection, format: str) -> Call[HttpReply]:
        """The reply of `GET /v1/points`, a whole file of rows."""
        chosen = {"series": ",".join(series) or None, "feed": selection.get("feed"), "field": selection.get("field")}
        query = {**chosen, **query_of(selection), "shape": "rows", "format": format}
        request = HttpRequest("GET", "/v1/points", params_of(query, selection.get("tags")))
        return (yield from exchange(request, self.patience_s))

    def _answer(self, select: Mapping[str, Any], question: Mapping[str, Any]) -> Call[HttpReply]:
        """The reply of `POST /v1/query`."""
        times = {name: instant_text(question[name], name) for name in ("start", "end", "as_of") if name in question}
        body = msgspec.json.encode({"select": select, **question, **times})
        request = HttpRequest("POST", "/v1/query", (), {"Content-Type": "application/json"}, body)
        return (yield from exchange(request, self.patience_s))
