"""Checks the head of every request before a route sees it: HTTP/1.0 or 1.1, one `Host` of this server, no unknown
`Expect`, and for a method that changes something no page of another site as the sender, except of an origin that the
API is shared with (`cross_origin.py`).

Applies with keys and without. curl and programs send neither `Origin` nor `Sec-Fetch-Site`: one set look-up admits
them. Malformed HTTP is left to `protocol.py`, keys to `auth.py`.
"""

from collections.abc import Mapping
from typing import Final

from tidemill.api.cross_origin import CrossOrigin
from tidemill.api.hosts import ServerHosts, split_authority
from tidemill.api.problems import CrossSiteError, ExpectationError, MisdirectedError
from tidemill.errors import Fault, InputError, TidemillError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
ALIVE: Final = "/healthz"  # answers any Host: balancers send odd ones, and the answer says only "alive"
_SPECIAL: Final = frozenset({b"origin", b"sec-fetch-site", b"expect"})
_OWN_SITE: Final = frozenset({b"same-origin", b"none"})  # none: no page, the user typed the address


class Admission:
    """Admits or refuses requests by their heads alone. One per process."""

    def __init__(self, hosts: ServerHosts, shared: CrossOrigin | None = None) -> None:
        self._hosts, self._shared = hosts, shared or CrossOrigin(frozenset())

    def refusal(self, method: str, path: str, version: str, headers: Mapping[bytes, bytes]) -> TidemillError | None:
        """The error that refuses a request, or None. `version` is the HTTP version of the request line, such as `1.1`;
        `headers` are by lower-case name, several of one name joined by commas."""
        known = headers.get(b"host") in self._hosts.remembered
        if known and version == "1.1" and _SPECIAL.isdisjoint(headers):
            return None
        try:
            self._check_form(version, headers)
            self._check_host(method, path, headers)
            if method not in SAFE_METHODS:
                self._check_page(path, headers)
        except TidemillError as error:
            return error
        return None

    def _check_form(self, version: str, headers: Mapping[bytes, bytes]) -> None:
        if version not in ("1.0", "1.1"):
            raise InputError(f"HTTP/{version} is not spoken here; send HTTP/1.1.")
        if version == "1.0" and b"transfer-encoding" in headers:
            raise _invalid("Transfer-Encoding", "HTTP/1.0 has no Transfer-Encoding; send a Content-Length.")
        expected = headers.get(b"expect")
        if expected is not None and expected.strip().lower() != b"100-continue":
            raise ExpectationError(f"Only `Expect: 100-continue` is known, not '{expected[:60].decode('latin-1')}'.")
        if version == "1.1" and b"host" not in headers:
            raise _invalid("Host", "A request of HTTP/1.1 has a Host header; this one has none.")

    def _check_host(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        host = headers.get(b"host")
        if host is None:  # HTTP/1.0, which no browser sends
            return
        try:
            ours = self._hosts.is_ours(host)
        except ValueError:
            shown = host[:100].decode("latin-1")
            raise _invalid("Host", f"The Host header is one HOST or HOST:PORT, not '{shown}'.") from None
        if not ours and (path != ALIVE or method not in SAFE_METHODS):
            name = split_authority(host)[0][:100]
            raise MisdirectedError(
                f"This server does not answer to the name '{name}'. If that is one of its names, an operator adds it "
                f"to the setting TIDEMILL_HOSTS (TIDEMILL_HOSTS={name}) and starts the server again."
            )

    def _check_page(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if origin is not None and self._shared.shares(path, origin):
            return
        foreign_site = site is not None and site not in _OWN_SITE
        foreign_origin = origin is not None and not self._hosts.is_own_page(origin, headers.get(b"host", b""))
        if foreign_site or foreign_origin:
            sender = f"Origin: {origin[:100].decode('latin-1')}" if origin is not None else "Sec-Fetch-Site"
            raise CrossSiteError(
                f"A page of another site sent this ({sender}). What changes something is taken from programs and from "
                "this server's own pages. If that page is this server's, an operator adds its name to TIDEMILL_HOSTS."
            )


def _invalid(header: str, message: str) -> InputError:
    return InputError(message, (Fault(f"$header.{header}", "invalid", message),))
