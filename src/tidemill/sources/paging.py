"""Where the next page is: a cursor in the answer, or a `Link` header (RFC 8288). Pure: an answer in, a place out."""

from typing import Literal

import httpx
import msgspec

from tidemill.decode.documents import strip
from tidemill.sources.answers import value_at
from tidemill.sources.templates import fill

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder(str | int | float | bool | None)


class PagingError(Exception):
    """The next page cannot be gone to. `reason` is a reason of the source's state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """How a source is paged. `path` is where an answer has the next cursor; None: it has a Link header instead."""

    by: Literal["cursor", "link"]
    path: tuple[str, ...] = ()
    param: str | None = None
    start: str = ""
    keep: bool = False
    max_pages: int = 1000

    def url(self, base: str, place: str | None) -> str:
        """What to ask for: the page at `place`, or the first one."""
        if self.by == "link":
            return base if place is None else place
        cursor = self.start if place is None else place
        if self.param is None:
            return fill(base, {"cursor": cursor})
        return str(httpx.URL(base).copy_merge_params({self.param: cursor})) if cursor else base

    def values(self, place: str | None) -> dict[str, str]:
        """What `{cursor}` stands for."""
        return {} if self.by == "link" else {"cursor": self.start if place is None else place}

    def next(self, asked: str, body: bytes, link: str) -> str | None:
        """Where the page after this answer to `asked` is; None: this was the last. Raises PagingError."""
        return _next_link(asked, link) if self.by == "link" else next_cursor(body, self.path)


def next_cursor(body: bytes, path: tuple[str, ...]) -> str | None:
    """The cursor at a path of a JSON document. Missing, null, false and empty say that there is none."""
    raw: bytes | msgspec.Raw = strip(body)
    try:
        for name in path:
            raw = _object.decode(raw)[name]
        value, digits = _value.decode(raw), bytes(raw).decode().strip()
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError):  # also for NaN elsewhere in it
        value = value_at(body, path)
        digits = str(value)
    if isinstance(value, str):
        return value or None
    return digits if isinstance(value, int | float) and not isinstance(value, bool) else None


def _next_link(asked: str, header: str) -> str | None:
    links = httpx.Response(200, headers={"link": header}).links if header else {}
    target = next((link["url"] for rel, link in links.items() if rel and "next" in rel.lower().split()), None)
    if target is None:
        return None
    try:
        base = httpx.URL(asked)
        url = base.join(target)
    except httpx.InvalidURL as error:
        raise PagingError("protocol", f"the link to the next page is not a URL: {error}") from None
    if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
        where = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
        raise PagingError("foreign_link", f"the link to the next page leads to another origin: {where[:80]}")
    return str(url.copy_with(fragment=None))
