"""The cookie that carries a session's token, and the token against forged requests that belongs to it.

Over TLS the cookie has the prefix `__Host-`, which no other host and no plain connection can set. Without TLS its name
ends with the port, because browsers keep cookies by host alone, and two servers on one machine would end each other's
sessions.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from tidemill.api.hosts import split_authority
from tidemill.catalog.sessions import LONGEST_S

SECURE_NAME: Final = "__Host-tidemill_session"
PLAIN_NAME: Final = "tidemill_session"
_ATTRIBUTES: Final = "; Path=/; HttpOnly; SameSite=Strict"
_CSRF: Final = b"tidemill csrf"


class SessionCookie(msgspec.Struct, frozen=True):
    """The token of a session as a request brought it. `secure`: in a cookie that only TLS can have set."""

    token: str
    secure: bool


def read_cookie(headers: Mapping[bytes, bytes]) -> SessionCookie | None:
    """The session's cookie among the headers of a request, or None."""
    header = headers.get(b"cookie")
    if header is None:
        return None
    values: dict[str, str] = {}
    for part in header.decode("latin-1").replace(",", ";").split(";"):  # several headers were joined by commas
        name, equals, value = part.partition("=")
        if equals:
            values.setdefault(name.strip(), value.strip())
    for name, secure in ((SECURE_NAME, True), (plain_name(headers), False)):
        if values.get(name):
            return SessionCookie(values[name], secure)
    return None


def set_cookie(headers: Mapping[bytes, bytes], token: str, *, secure: bool) -> str:
    """The `Set-Cookie` that gives a browser a session."""
    return f"{_name(headers, secure)}={token}; Max-Age={LONGEST_S}{_ATTRIBUTES}{'; Secure' if secure else ''}"


def clear_cookie(headers: Mapping[bytes, bytes], *, secure: bool) -> str:
    """The `Set-Cookie` that takes a session from a browser."""
    return f"{_name(headers, secure)}=; Max-Age=0{_ATTRIBUTES}{'; Secure' if secure else ''}"


def csrf_token(token: str) -> str:
    """What a page sends as `X-Tidemill-CSRF` with every unsafe request: it shows that the page could read an answer of
    this server. Made of the session's token, which no script can read."""
    return hmac.new(token.encode("utf-8", "surrogatepass"), _CSRF, hashlib.sha256).hexdigest()


def plain_name(headers: Mapping[bytes, bytes]) -> str:
    """The name of the cookie without TLS, for the host that a request names."""
    try:
        port = split_authority(headers.get(b"host", b""))[1].decode("ascii")
    except ValueError:
        port = ""
    return f"{PLAIN_NAME}_{port}" if port else PLAIN_NAME


def _name(headers: Mapping[bytes, bytes], secure: bool) -> str:
    return SECURE_NAME if secure else plain_name(headers)
