"""Builds the bytes of a request, a GET or, with a body, a POST, once for each URL, and follows the URL of a redirect.

Credentials and validators belong to one origin (scheme, host, port). A redirect to another origin is sent neither, and
later redirects do not get them back; user and password in a redirect's own URL are not used.
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
_ZONE: Final = re.compile(rb"%[^\]]*(?=\])")  # the scope of an address, which has a meaning on this machine only

Origin = tuple[str, str, int]


class Validators(msgspec.Struct, frozen=True):
    """The version of an earlier answer: to a request with these a server may answer 304. Empty: none."""

    etag: str = ""
    last_modified: str = ""


class RequestTarget(msgspec.Struct, frozen=True):
    """A URL with the bytes of its request. `headers` and `validators` are those that belong to its origin."""

    url: httpx.URL
    origin: Origin
    headers: dict[str, str]
    validators: Validators
    request: bytes
    body: bytes | None = None


def first_target(
    text: str, headers: Mapping[str, str], validators: Validators, body: bytes | None = None
) -> RequestTarget:
    """The target of a feed's URL; user and password in the URL become a header unless there is one already.

    Raises WireError `protocol` for what cannot be sent."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise WireError("protocol", f"source.url is not a URL: {error}") from None
    own = {name.lower(): value for name, value in headers.items()}
    if url.userinfo:
        pair = ":".join((unquote(url.username), unquote(url.password)))
        own.setdefault("authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return _target(url, own, validators, body)


def redirected(target: RequestTarget, location: str, status: int = 302) -> RequestTarget:
    """The target of a redirect of `target` to `location`. The body is sent again if the status requires it, to the same
    origin only (it may hold credentials). Raises WireError `redirects` or `protocol`."""
    try:
        url = target.url.join(location)
    except httpx.InvalidURL as error:
        raise WireError("redirects", f"a redirect leads to what is not a URL: {error}") from None
    if target.url.scheme == "https" and url.scheme != "https":
        message = f"a redirect leads from https to {url.scheme}: source.url must name an address that stays on https"
        raise WireError("redirects", message)
    body = target.body if status in (307, 308) else None
    if _origin(url) == target.origin:
        kept = {name: value for name, value in target.headers.items() if body is not None or name != "content-type"}
        return _target(url, kept, target.validators, body)
    if body is not None:
        raise WireError("redirects", "a redirect would send the body to another host: write its address as source.url")
    return _target(url, {}, Validators(), None)


def _target(url: httpx.URL, headers: dict[str, str], validators: Validators, body: bytes | None) -> RequestTarget:
    return RequestTarget(url, _origin(url), headers, validators, _request(url, headers, validators, body), body)


def _origin(url: httpx.URL) -> Origin:
    if url.scheme not in _PORTS or not url.host:
        raise WireError("protocol", f"'{url.scheme}://{url.host[:80]}' is not the start of an http or https URL")
    port = url.port or _PORTS[url.scheme]
    if port > 65535:
        raise WireError("protocol", f"there is no port {port}: ports go up to 65535")
    return url.scheme, url.raw_host.decode("ascii").strip("[]").replace("%25", "%"), port


def _request(url: httpx.URL, headers: Mapping[str, str], validators: Validators, body: bytes | None) -> bytes:
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
    if body is not None:
        lines["content-length"] = str(len(body))
    for name, value in lines.items():
        if not name or not name.isascii() or any(c in f"{name}{value}" for c in "\r\n\0") or ":" in name or " " in name:
            raise WireError("protocol", f"the header {name!r} of [source] cannot be sent: it would break its line")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    try:
        first = (b"GET " if body is None else b"POST ") + url.raw_path + b" HTTP/1.1\r\n"
        return first + head.encode("latin-1") + b"\r\n" + (body or b"")
    except UnicodeEncodeError:
        raise WireError("protocol", "a header of [source] has characters outside of Latin-1") from None
