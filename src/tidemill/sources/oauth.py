"""Access tokens of OAuth 2 (RFC 6749): client credentials, and refresh tokens that a server may rotate.

oauthlib writes the requests and reads the answers; the safe client sends them, under the same policy and limits as any
request of the source. A token is asked for before it ends, and after a 401. Tokens are held in memory; only a refresh
token that the server replaced is remembered, since the one in the definition is of no use any more. No message, state
or log line holds one.
"""

import base64
import hashlib
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec
from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.errors import OAuth2Error

from tidemill.feeds.source import SourceOAuth2
from tidemill.sources.http import Fetched, FetchFailure, FetchLimits, HttpClient

_STATUSES: Final = frozenset({200, 400, 401, 403})  # answers that may say what is wrong
_EARLY_S: Final = 30.0  # a token is renewed so long before its end, or at nine tenths of a short life
_UNSAID_S: Final = 3600.0  # the life of a token whose server says nothing


class TokenError(Exception):
    """There is no token. `retry_after_s`: what the server asked for."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class Rotated(msgspec.Struct, frozen=True):
    """A refresh token that replaced the one of a definition, whose SHA-256 is `instead_of`."""

    token: str
    instead_of: str


class Tokens:
    """The tokens of one source. `rotated` is what an earlier run remembered; after `header`, `unsaved` says whether
    there is another one to remember."""

    def __init__(
        self, wanted: SourceOAuth2, client: HttpClient, limits: FetchLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wanted = wanted
        self._client = client
        self._limits = limits
        self._clock = clock
        self._token = ""
        self._good_until_s = 0.0
        self._instead_of = hashlib.sha256(wanted.refresh_token.encode()).hexdigest()
        self.rotated: Rotated | None = None
        self.unsaved = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in any text."""
        return tuple(filter(None, (self._token, self.rotated.token if self.rotated else "")))

    def resume(self, rotated: Rotated | None) -> None:
        """Go on with a rotated refresh token, unless the definition has another one by now."""
        if rotated is not None and rotated.instead_of == self._instead_of:
            self.rotated = rotated

    def forget(self) -> None:
        """The server does not take the token: the next request asks for another."""
        self._token = ""

    async def header(self) -> dict[str, str]:
        """The header of a request. Raises TokenError."""
        if not self._token or self._clock() >= self._good_until_s:
            await self._renew()
        return {"authorization": f"Bearer {self._token}"}

    async def _renew(self) -> None:
        wanted = self._wanted
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if wanted.send_as == "basic":
            pair = f"{quote(wanted.client_id, safe='')}:{quote(wanted.client_secret, safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        answer = await self._client.get(
            wanted.token_url, headers, self._limits, _STATUSES, body=self._request().encode()
        )
        if isinstance(answer, FetchFailure):
            raise TokenError(f"no token: {answer.message}", answer.retry_after_s)
        self._take(self._read(answer))

    def _request(self) -> str:
        wanted, client = self._wanted, BackendApplicationClient(self._wanted.client_id)
        more: dict[str, Any] = {**wanted.params, "include_client_id": wanted.send_as == "body"}
        if wanted.send_as == "body" and wanted.client_secret:
            more["client_secret"] = wanted.client_secret
        scope = wanted.scope or None
        if not wanted.refresh_token:
            body = client.prepare_request_body(scope=scope, **more)
        else:
            token = self.rotated.token if self.rotated else wanted.refresh_token
            body = client.prepare_refresh_body(refresh_token=token, scope=scope, client_id=wanted.client_id, **more)
        return str(body)

    def _read(self, answer: Fetched) -> dict[str, Any]:
        """The token's document. Raises TokenError; of what the server says only the code of its error is repeated."""
        hint = "look at client_id, client_secret and token_url in [source.oauth2]"
        try:
            found: dict[str, Any] = BackendApplicationClient(self._wanted.client_id).parse_request_body_response(
                answer.body.decode("utf-8", "replace")
            )
        except OAuth2Error as error:
            raise TokenError(f"no token: the server says {str(error.error)[:60]} ({answer.status}): {hint}") from None
        except Exception:  # whatever it makes of an answer that is none
            raise TokenError(f"no token: the answer ({answer.status}) is none of OAuth 2: {hint}") from None
        if not isinstance(found.get("access_token"), str) or str(found.get("token_type", "bearer")).lower() != "bearer":
            raise TokenError(f"no token: the answer ({answer.status}) holds no bearer token: {hint}")
        return found

    def _take(self, found: dict[str, Any]) -> None:
        life = found.get("expires_in")
        life_s = float(life) if isinstance(life, int | float) and life > 0 else _UNSAID_S
        self._token = found["access_token"]
        self._good_until_s = self._clock() + max(life_s - _EARLY_S, 0.9 * life_s)
        if not self._token.isascii() or not self._token.isprintable():
            self._token = ""
            raise TokenError("no token: the server's token cannot be sent in a header")
        refresh = found.get("refresh_token")
        known = self.rotated.token if self.rotated else self._wanted.refresh_token
        if self._wanted.refresh_token and isinstance(refresh, str) and refresh and refresh != known:
            self.rotated, self.unsaved = Rotated(refresh, self._instead_of), True
