"""What is sent: the bytes of a GET, made once for each URL, and where a redirect leads.

Credentials and validators belong to one origin (scheme, host, port). A redirect to another one takes neither along,
and never gets them back; user and password of a redirect's own URL are not used at all.
"""

import base64
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import httpx
import msgspec

from tidemill import __version__
from tidemill.sources.wire import WireError

_PORTS: Final = {"http": 80, "https": 443}
_ZONE: Final = re.compile(rb"%[^\]]*(?=\])")  # of a scoped address: means something on this machine only

Origin = tuple[str, str, int]


class Validators(msgspec.Struct, frozen=True):
    """What an earlier answer said about its version: asked with these, a server may answer 304. Empty: none."""

    etag: str = ""
    last_modified: str = ""


class RequestTarget(msgspec.Struct, frozen=True):
    """A URL made ready to be asked. `headers` and `validators` are those that belong to its origin."""

    url: httpx.URL
    origin: Origin
    headers: dict[str, str]
    validators: Validators
    request: bytes


def first_target(text: str, headers: Mapping[str, str], validators: Validators) -> RequestTarget:
    """The target a feed names; user and password in its URL become a header unless there is one already.

    Raises WireError `protocol` for what cannot be sent."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise WireError("protocol", f"source.url is not a URL: {error}") from None
    own = {name.lower(): value for name, value in headers.items()}
    if url.userinfo:
        pair = ":".join((unquote(url.username), unquote(url.password)))
        own.setdefault("authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return _target(url, own, validators)


def redirected(target: RequestTarget, location: str) -> RequestTarget:
    """Where `location`, the answer of `target`, leads. Raises WireError `redirects` or `protocol`."""
    try:
        url = target.url.join(location)
    except httpx.InvalidURL as error:
        raise WireError("redirects", f"a redirect leads to what is not a URL: {error}") from None
    if target.url.scheme == "https" and url.scheme != "https":
        message = f"a redirect leads from https to {url.scheme}: source.url must name an address that stays on https"
        raise WireError("redirects", message)
    if _origin(url) == target.origin:
        return _target(url, target.headers, target.validators)
    return _target(url, {}, Validators())


def _target(url: httpx.URL, headers: dict[str, str], validators: Validators) -> RequestTarget:
    return RequestTarget(url, _origin(url), headers, validators, _request(url, headers, validators))


def _origin(url: httpx.URL) -> Origin:
    if url.scheme not in _PORTS or not url.host:
        raise WireError("protocol", f"'{url.scheme}://{url.host[:80]}' is not the start of an http or https URL")
    port = url.port or _PORTS[url.scheme]
    if port > 65535:
        raise WireError("protocol", f"there is no port {port}: ports go up to 65535")
    return url.scheme, url.raw_host.decode("ascii").strip("[]").replace("%25", "%"), port


def _request(url: httpx.URL, headers: Mapping[str, str], validators: Validators) -> bytes:
    lines = {
        "host": _ZONE.sub(b"", url.netloc).decode("ascii"),
        "user-agent": f"tidemill/{__version__}",
        "accept": "*/*",
        "accept-encoding": "gzip",
    }
    if validators.etag:
        lines["if-none-match"] = validators.etag
    if validators.last_modified:
        lines["if-modified-since"] = validators.last_modified
    lines |= headers
    for name, value in lines.items():
        if not name or not name.isascii() or any(c in f"{name}{value}" for c in "\r\n\0") or ":" in name or " " in name:
            raise WireError("protocol", f"the header {name!r} of [source] cannot be sent: it would break its line")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    try:
        return b"GET " + url.raw_path + b" HTTP/1.1\r\n" + head.encode("latin-1") + b"\r\n"
    except UnicodeEncodeError:
        raise WireError("protocol", "a header of [source] has characters outside of Latin-1") from None
