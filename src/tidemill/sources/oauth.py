"""Access tokens of OAuth 2 (RFC 6749): client credentials, and refresh tokens that a server may rotate.

oauthlib writes the requests and parses the answers; `HttpClient` sends them, under the same policy and limits as any
request of the source. A token is requested before the present one expires, and after a 401. Tokens are held in memory;
only a refresh token that the server replaced is saved, since the one in the definition is not valid any more. No
message, state or log line holds a token.
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
_EARLY_S: Final = 30.0  # a token is renewed so long before it expires, or at nine tenths of a short life
_DEFAULT_LIFE_S: Final = 3600.0  # the life of a token without `expires_in`


class TokenError(Exception):
    """No token could be had. `retry_after_s`: the server's `Retry-After`."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class RotatedToken(msgspec.Struct, frozen=True):
    """A refresh token that replaced the one of a definition; `instead_of` is the SHA-256 of the definition's token."""

    token: str
    instead_of: str


class OAuthTokens:
    """The tokens of one source. `rotated` is the saved refresh token; after `authorization_header`, `unsaved` says
    whether it is a new one to be saved."""

    def __init__(
        self, config: SourceOAuth2, client: HttpClient, limits: FetchLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._client = client
        self._limits = limits
        self._clock = clock
        self._token = ""
        self._good_until_s = 0.0
        self._instead_of = hashlib.sha256(config.refresh_token.encode()).hexdigest()
        self.rotated: RotatedToken | None = None
        self.unsaved = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The tokens, which must not be in any text."""
        return tuple(filter(None, (self._token, self.rotated.token if self.rotated else "")))

    def restore_rotated(self, rotated: RotatedToken | None) -> None:
        """Use a saved refresh token, unless the definition has another token by now."""
        if rotated is not None and rotated.instead_of == self._instead_of:
            self.rotated = rotated

    def discard_token(self) -> None:
        """Discard an access token that the server refused, so that the next request gets a new one."""
        self._token = ""

    async def authorization_header(self) -> dict[str, str]:
        """The header `authorization` of a request, with a new token if the present one expired. Raises TokenError."""
        if not self._token or self._clock() >= self._good_until_s:
            await self._renew()
        return {"authorization": f"Bearer {self._token}"}

    async def _renew(self) -> None:
        config = self._config
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if config.send_as == "basic":
            pair = f"{quote(config.client_id, safe='')}:{quote(config.client_secret, safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        answer = await self._client.get(
            config.token_url, headers, self._limits, _STATUSES, body=self._request_body().encode()
        )
        if isinstance(answer, FetchFailure):
            raise TokenError(f"no token: {answer.message}", answer.retry_after_s)
        self._set_token(self._parse_token(answer))

    def _request_body(self) -> str:
        config, client = self._config, BackendApplicationClient(self._config.client_id)
        more: dict[str, Any] = {**config.params, "include_client_id": config.send_as == "body"}
        if config.send_as == "body" and config.client_secret:
            more["client_secret"] = config.client_secret
        scope = config.scope or None
        if not config.refresh_token:
            body = client.prepare_request_body(scope=scope, **more)
        else:
            token = self.rotated.token if self.rotated else config.refresh_token
            body = client.prepare_refresh_body(refresh_token=token, scope=scope, client_id=config.client_id, **more)
        return str(body)

    def _parse_token(self, answer: Fetched) -> dict[str, Any]:
        """The document of a token. Raises TokenError with the code of the server's error, and no other text of the
        server."""
        hint = "look at client_id, client_secret and token_url in [source.oauth2]"
        try:
            document: dict[str, Any] = BackendApplicationClient(self._config.client_id).parse_request_body_response(
                answer.body.decode("utf-8", "replace")
            )
        except OAuth2Error as error:
            raise TokenError(f"no token: the server says {str(error.error)[:60]} ({answer.status}): {hint}") from None
        except Exception:  # oauthlib may raise anything for an invalid answer
            raise TokenError(f"no token: the answer ({answer.status}) is none of OAuth 2: {hint}") from None
        self._note_rotation(document)
        if (
            not isinstance(document.get("access_token"), str)
            or str(document.get("token_type", "bearer")).lower() != "bearer"
        ):
            raise TokenError(f"no token: the answer ({answer.status}) holds no bearer token: {hint}")
        return document

    def _set_token(self, document: dict[str, Any]) -> None:
        life = document.get("expires_in")
        life_s = float(life) if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE_S
        self._token = document["access_token"]
        self._good_until_s = self._clock() + max(life_s - _EARLY_S, 0.9 * life_s)
        if not self._token.isascii() or not self._token.isprintable():
            self._token = ""
            raise TokenError("no token: the server's token cannot be sent in a header")

    def _note_rotation(self, document: dict[str, Any]) -> None:
        """Keep a new refresh token, also beside an access token that cannot be used: the server knows no other one."""
        refresh = document.get("refresh_token")
        known = self.rotated.token if self.rotated else self._config.refresh_token
        if self._config.refresh_token and isinstance(refresh, str) and refresh and refresh != known:
            self.rotated, self.unsaved = RotatedToken(refresh, self._instead_of), True
