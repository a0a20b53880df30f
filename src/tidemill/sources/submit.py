"""Hands what sources fetched to intake, over the API's internal listener on loopback.

One keep-alive client for all sources. Safe to send again: the idempotency key makes a payload durable once.
"""

from typing import Final

import httpx

from tidemill.errors import ConflictError, InputError, UnavailableError

_CONNECTIONS: Final = 16
_TIMEOUT_S: Final = 30.0
_CONFLICT: Final = 409
_TRY_AGAIN: Final = frozenset({401, 403, 404, 408, 425, 429})  # a restart under way, or too much at once


class InternalIntake:
    """`Submit` over HTTP. Use it in one event loop. `secret` is the one of this start of the server."""

    def __init__(self, port: int, secret: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"X-Tidemill-Secret": secret},
            timeout=_TIMEOUT_S,
            trust_env=False,
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
        )

    async def __call__(self, tenant: str, feed: str, body: bytes, content_type: str, idempotency_key: str) -> str:
        """The receipt's id, once the payload is durable. Raises UnavailableError, InputError or ConflictError."""
        try:
            answer = await self._client.post(
                "/internal/payloads",
                params={"tenant": tenant, "feed": feed},
                content=body,
                headers={"Content-Type": content_type, "Idempotency-Key": idempotency_key},
            )
        except httpx.HTTPError as error:
            raise UnavailableError(f"intake cannot be reached: {error or type(error).__name__}") from error
        if answer.is_success:
            return str(answer.json()["id"])
        message = f"intake answered {answer.status_code}: {answer.text[:500]}"
        if answer.status_code == _CONFLICT:
            raise ConflictError(message)
        if answer.is_server_error or answer.status_code in _TRY_AGAIN:
            raise UnavailableError(message, float(answer.headers.get("Retry-After", 1)))
        raise InputError(message)
