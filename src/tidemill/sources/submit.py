"""Sends fetched payloads to the API's internal intake, over loopback, several at the same time.

There is a kept connection for each payload under way (the poller bounds how many). A failure that may be temporary is
an UnavailableError, so that the payload is sent again with its key: a refused connection, a cut answer, any 5xx, 408,
429, and 404 (the feed may come back). Only a refusal because of the bytes is final.
"""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from tidemill.errors import ConflictError, InputError, UnavailableError
from tidemill.sources.outbox import NO_REQUEST_VALUES, KeptRefusalError
from tidemill.sources.wire import Connection, Response, WireError

_PATH: Final = "/internal/payloads"
_TIMEOUT_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 1 << 20
_LATER: Final = frozenset({404, 408, 429})


class _Answer(msgspec.Struct):
    """The members of a receipt or of a problem document that are used here."""

    id: str = ""
    detail: str = ""
    receipt: str = ""


class InternalIntake:
    """Intake at a loopback port, for processes that have the installation's secret. See `outbox.Submit`."""

    def __init__(self, port: int, secret: str) -> None:
        self._port = port
        self._secret = secret
        self._idle: list[Connection] = []

    async def __call__(
        self,
        tenant: str,
        feed: str,
        body: bytes,
        content_type: str,
        idempotency_key: str,
        *,
        request_values: Mapping[str, str] = NO_REQUEST_VALUES,
    ) -> str:
        """Return the receipt's id once the payload is durable. Raises UnavailableError, ConflictError, InputError
        (KeptRefusalError when intake kept the bytes)."""
        request = self._request(tenant, feed, body, content_type, idempotency_key, request_values=request_values)
        try:
            response = await self._exchange(request)
        except (WireError, OSError) as error:
            raise UnavailableError(f"intake cannot be reached: {error}") from None
        return _receipt(response)

    def _request(
        self, tenant: str, feed: str, body: bytes, content_type: str, key: str, *, request_values: Mapping[str, str]
    ) -> bytes:
        parameters = {"tenant": tenant, "feed": feed}
        if request_values:
            parameters["asked"] = urlencode(request_values)
        query = urlencode(parameters, quote_via=quote, safe="")
        head = (
            f"POST {_PATH}?{query} HTTP/1.1\r\n"
            f"host: 127.0.0.1:{self._port}\r\nx-tidemill-secret: {self._secret}\r\n"
            f"content-type: {content_type}\r\nidempotency-key: {key}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1") + body

    async def _exchange(self, request: bytes) -> Response:
        """Send on an idle connection, or on a new connection if there is none or the server had closed it (sending
        again is harmless because of the idempotency key)."""
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._send(connection, request)
            except WireError as error:
                if not error.untouched:
                    raise
        loop = asyncio.get_running_loop()
        return await self._send((await loop.create_connection(Connection, "127.0.0.1", self._port))[1], request)

    async def _send(self, connection: Connection, request: bytes) -> Response:
        response = await connection.exchange(request, timeout_s=_TIMEOUT_S, max_bytes=_MAX_ANSWER_BYTES)
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.close()
        return response


def _receipt(response: Response) -> str:
    """The receipt's id in an answer. Raises the error that the answer stands for."""
    try:
        answer = msgspec.json.decode(response.body, type=_Answer)
    except msgspec.DecodeError as error:
        raise UnavailableError(f"intake answered {response.status} with no document: {error}") from None
    if 200 <= response.status < 300 and answer.id:
        return answer.id
    message = f"intake answered {response.status}: {answer.detail}"
    if response.status == 409:
        raise ConflictError(message)
    if 400 <= response.status < 500 and response.status not in _LATER:
        if answer.receipt:
            raise KeptRefusalError(message, answer.receipt)
        raise InputError(message)
    after = response.headers.get("retry-after", "")
    raise UnavailableError(message, float(after) if after.isascii() and after.isdigit() else 1.0)
