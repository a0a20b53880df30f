"""Sends queries whose text and parameters are short straight over the pool of connections.

The driver binds, checks and rebuilds every statement anew, which takes longer than the way through HTTP (0.35 ms of
processor time a query). A packaged query needs none of that: its parameters are bound by the server, by their names.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from clickhouse_connect.driver.exceptions import DatabaseError
from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.util import Timeout

from tidemill.store.address import StoreAddress

_MOST_BYTES: Final = 8 << 10  # of a URL; longer ones go by the driver, as a form
_CONNECT_TIMEOUT_S: Final = 2
_CODE: Final = "X-ClickHouse-Exception-Code"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})
_QUOTED: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"})


class ShortRequest(msgspec.Struct, frozen=True):
    """A request: the query of its URL, and its body, which is the statement."""

    arguments: str
    body: bytes


class ShortRequests:
    """The requests to one store with these settings of every query."""

    def __init__(self, address: StoreAddress, settings: Mapping[str, str | int], timeout_s: int) -> None:
        self._compressed = address.secure
        host = f"[{address.host}]" if ":" in address.host else address.host
        self._url = f"http://{host}:{address.port}/?"
        own = {"database": address.database, **{name: str(value) for name, value in settings.items()}}
        self._own = urlencode(own, quote_via=quote)
        secret = base64.b64encode(f"{address.user}:{address.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {secret}", "Content-Type": "text/plain; charset=utf-8"}
        self._timeout = Timeout(connect=_CONNECT_TIMEOUT_S, read=timeout_s)

    def request_of(
        self, sql: str, fmt: str, values: Mapping[str, Any], settings: Mapping[str, str]
    ) -> ShortRequest | None:
        """The request for a query that reads; null where a value is of another type than those of parameters, the
        request is not short, or the store is far away (then the driver compresses answers)."""
        if self._compressed:
            return None
        given = {"default_format": fmt, **settings}
        for name, value in values.items():
            text = _bound(value)
            if text is None:
                return None
            given[f"param_{name}"] = text
        arguments = f"{self._own}&{urlencode(given, quote_via=quote)}"
        return ShortRequest(arguments, sql.encode()) if len(arguments) <= _MOST_BYTES else None

    def send(self, request: ShortRequest, connections: PoolManager) -> BaseHTTPResponse:
        """The answer, once its status is there. Sent again where a kept connection turns out to be closed, because it
        only reads. Raises DatabaseError for an error that the status reports, and what the pool raises."""
        try:
            answer = self._sent(request, connections)
        except ProtocolError:
            answer = self._sent(request, connections)
        if answer.status >= 300 or answer.headers.get(_CODE):
            raise _error(answer)
        return answer

    def _sent(self, request: ShortRequest, connections: PoolManager) -> BaseHTTPResponse:
        return connections.urlopen(
            "POST",
            self._url + request.arguments,
            body=request.body,
            headers=self._headers,
            timeout=self._timeout,
            retries=False,
            preload_content=False,
        )


def _error(answer: BaseHTTPResponse) -> DatabaseError:
    """The error of an answer without success."""
    code = answer.headers.get(_CODE, "")
    try:
        text = answer.read().decode(errors="replace").strip()
    except HTTPError as error:
        text = str(error)
    finally:
        answer.release_conn()
    return DatabaseError(text or f"HTTP status {answer.status}", code=int(code) if code.isdigit() else None)


def _bound(value: Any, *, inner: bool = False) -> str | None:
    """A value as the server reads it as a parameter (`inner`: within an array); null for types not of parameters."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f"'{value.translate(_QUOTED)}'" if inner else value.translate(_ESCAPES)
    if isinstance(value, list):
        items = [_bound(item, inner=True) for item in value]
        return None if None in items else f"[{', '.join(items)}]"  # type: ignore[arg-type]  # no item is null
    return None
