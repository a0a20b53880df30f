"""Pages of other origins that an operator lets use the API: CORS for the setting `cors_origins`, off by default.

Such a page sends a key of its own. It never acts with the session of a person who is signed in here: no answer allows
credentials, `auth.py` reads no cookie of a foreign origin, and the session's own routes are shared with nobody.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tidemill.api.problems import Header

SESSION_PATH: Final = "/v1/session"
_SHARED: Final = ("/v1/", "/location", "/openapi.json", "/healthz", "/readyz", "/metrics")
_MAX_AGE_S: Final = 600
_REQUEST_HEADERS: Final = (
    "Accept", "Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match",
    "Last-Event-ID", "Prefer", "Range", "X-API-Key",
)  # fmt: skip
_EXPOSED: Final = (
    "Accept-Ranges", "Allow", "Content-Disposition", "Content-Range", "ETag", "Idempotency-Replayed", "Link",
    "Location", "Preference-Applied", "Repr-Digest", "Retry-After", "WWW-Authenticate",
)  # fmt: skip


class CrossOrigin:
    """Which origins the API is shared with, and what is said to them. `origins` as browsers write them."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def shares(self, path: str, origin: bytes) -> bool:
        """Whether a page of this origin may send requests to this path."""
        return origin in self._origins and path.startswith(_SHARED) and path.rstrip("/") != SESSION_PATH

    def preflight(
        self, method: str, path: str, headers: Mapping[bytes, bytes], allowed: Sequence[str]
    ) -> list[Header] | None:
        """The headers that answer a preflight; None where the request is none, or is not allowed. `allowed`: the
        methods of the path."""
        origin = headers.get(b"origin", b"")
        if method != "OPTIONS" or b"access-control-request-method" not in headers or not self.shares(path, origin):
            return None
        return [
            (b"access-control-allow-methods", ", ".join(allowed).encode()),
            (b"access-control-allow-headers", ", ".join(_REQUEST_HEADERS).encode()),
            (b"access-control-max-age", b"%d" % _MAX_AGE_S),
        ]

    def sharing(self, path: str, headers: Mapping[bytes, bytes], send: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A `send` that adds to an answer which page may read it. Answers differ by `Origin`, also for caches."""
        origin = headers.get(b"origin", b"")
        more: list[Header] = [(b"vary", b"Origin")]
        if self.shares(path, origin):
            exposed = ", ".join(_EXPOSED).encode()
            more += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", exposed)]

        async def send_shared(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        return send_shared
