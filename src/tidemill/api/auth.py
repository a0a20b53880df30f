"""Reads who sends a request: the key in `Authorization: Bearer` or `X-API-Key`, else the session of a browser, else
open access where that is on.

`catalog/keys.py` keeps the keys, `catalog/sessions.py` the sessions. A session's cookie goes with every request that a
browser sends here, whoever made it send that: so it counts for a request that changes something only with the token
against forgery and from a page of ours, and never for a page of another origin. Tenants need no check of their own
here: every query names the tenant of the key, so what belongs to another tenant is not found.
"""

import hmac
from collections.abc import Mapping
from typing import Final

from tidemill.api.hosts import ServerHosts
from tidemill.api.problems import CrossSiteError, CsrfError
from tidemill.api.session_cookies import SessionCookie, csrf_token, read_cookie
from tidemill.api.wrong_keys import WrongKeys
from tidemill.catalog.keys import SCOPES, KeyRing, Principal, Scope
from tidemill.catalog.sessions import SessionRing
from tidemill.errors import AccessError

OPEN_TENANT: Final = "default"
ANYONE: Final = Principal(OPEN_TENANT, frozenset(SCOPES), "open")


class Authenticator:
    """Gives the principal of request headers. `open_access`: no key is needed while none exists. `hosts` say which
    pages are ours."""

    def __init__(self, keys: KeyRing, sessions: SessionRing, hosts: ServerHosts, *, open_access: bool) -> None:
        self._keys, self._sessions, self._hosts, self._open = keys, sessions, hosts, open_access
        self._wrong = WrongKeys()

    @property
    def is_open(self) -> bool:
        """Whether a request without a key is admitted at this moment."""
        return self._open and not self._keys.ever_keys()

    def has_scope(self, headers: Mapping[bytes, bytes], scope: Scope, address: str) -> bool:
        """Whether a request that needs no key has one of the scope, or access is open.

        Raises AccessError and WrongKeysError for a wrong key.
        """
        principal = self.principal(headers, address)
        return principal is not None and scope in principal.scopes

    def principal(self, headers: Mapping[bytes, bytes], address: str) -> Principal | None:
        """The sender of a request that needs no key, or None where it has none. Raises AccessError and WrongKeysError
        for a wrong key."""
        secret = _secret(headers)
        if secret is not None:
            return self._known(secret, address)
        cookie = self.cookie(headers)
        principal = self._of_session(cookie)
        return principal or (ANYONE if self.is_open else None)

    def authorize(
        self, headers: Mapping[bytes, bytes], scope: Scope, address: str, *, unsafe: bool = True
    ) -> Principal:
        """The principal of a request from `address`; it has the scope. `unsafe`: the request may change something.

        Raises AccessError for a missing or unknown key, a session that is over, and a key without the scope;
        WrongKeysError after too many unknown keys; CrossSiteError and CsrfError for an unsafe request with a session
        that no page of ours sent.
        """
        secret = _secret(headers)
        if secret is None:
            return self._without_key(headers, scope, unsafe=unsafe)
        return _with_scope(self._known(secret, address), scope)

    def still_admits(self, headers: Mapping[bytes, bytes], scope: Scope | None) -> bool:
        """Whether a request that was admitted with this scope (null: it needed none) would be admitted again: its key
        is not revoked, its session not over. Looking is no use of either: an open stream does not keep the session
        of a browser that nobody sits at."""
        if scope is None:
            return True
        try:
            secret = _secret(headers)
            if secret is None:
                principal = self._of_session(self.cookie(headers), is_use=False)
            else:
                principal = self._keys.authenticate(secret, is_use=False)
        except AccessError:
            return False
        return (
            self.is_open if principal is None and secret is None else scope in principal.scopes if principal else False
        )

    def cookie(self, headers: Mapping[bytes, bytes]) -> SessionCookie | None:
        """The session's cookie of a request that a page of ours, or a program, sent; else None."""
        origin = headers.get(b"origin")
        if origin is not None and not self._hosts.is_own_page(origin, headers.get(b"host", b"")):
            return None
        return read_cookie(headers)

    def check_forgery(self, headers: Mapping[bytes, bytes], cookie: SessionCookie) -> None:
        """Raise CrossSiteError or CsrfError unless a page of ours sent an unsafe request with this session. A foreign
        `Origin` or `Sec-Fetch-Site` was refused before (`admission.py`), or its cookie not read."""
        if b"origin" not in headers and headers.get(b"sec-fetch-site") != b"same-origin":
            raise CrossSiteError(
                "A request with a session that changes something says by `Origin` or `Sec-Fetch-Site` which page sent "
                "it. A program sends a key instead."
            )
        given = headers.get(b"x-tidemill-csrf", b"")
        if not hmac.compare_digest(given, csrf_token(cookie.token).encode()):
            raise CsrfError(
                "A request with a session that changes something carries `X-Tidemill-CSRF`, whose value is `csrf` of "
                "GET /v1/session."
            )

    def _without_key(self, headers: Mapping[bytes, bytes], scope: Scope, *, unsafe: bool) -> Principal:
        cookie = self.cookie(headers)
        principal = self._of_session(cookie)
        if principal is None or cookie is None:
            if self.is_open:
                return ANYONE
            if cookie is not None:
                raise AccessError("The session is over. Sign in again.")
            raise AccessError("This needs a key: send `Authorization: Bearer KEY` or `X-API-Key: KEY`.")
        if unsafe:
            self.check_forgery(headers, cookie)
        return _with_scope(principal, scope)

    def _of_session(self, cookie: SessionCookie | None, *, is_use: bool = True) -> Principal | None:
        return None if cookie is None else self._sessions.principal(cookie.token, secure=cookie.secure, is_use=is_use)

    def _known(self, secret: str, address: str) -> Principal:
        principal = self._keys.authenticate(secret)
        if principal is None:
            self._wrong.count(address)
            raise AccessError("The key is not known here, or it was revoked.")
        return principal


def _with_scope(principal: Principal, scope: Scope) -> Principal:
    if scope not in principal.scopes:
        raise AccessError(f"This needs a key with the scope '{scope}'.", missing_scope=scope)
    return principal


def _secret(headers: Mapping[bytes, bytes]) -> str | None:
    """The secret in the headers (of both, that in X-API-Key), or null. Raises AccessError for another scheme."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key.decode("latin-1").strip()
    header = headers.get(b"authorization")
    if header is None:
        return None
    scheme, _, secret = header.decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise AccessError("Of the Authorization schemes only Bearer is taken: `Authorization: Bearer KEY`.")
    return secret.strip()
