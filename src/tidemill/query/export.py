"""The ledger as a file: the whole selection in one stream that the engine writes, newest first."""

from collections.abc import Callable
from typing import Any, Final

from tidemill.query import answers
from tidemill.query.answers import Page
from tidemill.store.client import Store

MAX_EXPORTED: Final = 1_000_000
FORMATS: Final = ("csv", "ndjson", "parquet")
_QUERIES: Final = {"csv": "rejections_csv", "ndjson": "rejections_text", "parquet": "rejections_typed"}
_BY_TYPE: Final = {answers.MEDIA_TYPES[name]: name for name in FORMATS}


def export(
    store: Store, chosen: dict[str, Any], kind: str, limit: int, cursor: Callable[[dict[str, Any]], str]
) -> Page:
    """The chosen rejections (what `rejections` binds) as a file of a format, at most `limit` of them.

    In CSV a text that a spreadsheet would take for a formula begins with an apostrophe. `next`, the `cursor`
    of the last row in it, leads to what is behind the limit.
    """
    beyond = store.rows("rejections_beyond", **chosen, offset=limit - 1)
    following = cursor(beyond[0]) if len(beyond) > 1 else None
    stream = store.stream(_QUERIES[kind], answers.STORE_FORMATS[kind], **chosen, limit=limit)
    return Page(stream, answers.MEDIA_TYPES[kind], following)


def accepted(header: str) -> str:
    """The format that an Accept header asks for: that of the first type in it that is one of ours, else `json`."""
    for item in header.split(","):
        kind = item.partition(";")[0].strip().lower()
        if kind in _BY_TYPE:
            return _BY_TYPE[kind]
        if kind in ("application/json", "application/*", "*/*"):
            return "json"
    return "json"
