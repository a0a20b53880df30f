"""Finds the next page: by a cursor or URL in the answer, by a `Link` header (RFC 8288), or by counting. Pure.

The token of a page is its URL, its cursor, or its number, by the kind of paging; None is the first page.
"""

from typing import Literal

import httpx
import msgspec

from tidemill.decode.documents import strip_body
from tidemill.feeds.paths import Path
from tidemill.feeds.placeholders import fill_url
from tidemill.sources.answers import raw_at, value_at
from tidemill.sources.http import Fetched

_value = msgspec.json.Decoder(str | int | float | bool | None)


class PagingError(Exception):
    """The next page cannot be requested. `reason` is a reason of the source's state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """How a source is paged. `path` is the path of the next cursor or URL in an answer, `header` the header with the
    cursor instead. `size`: an answer with fewer records is the last page, once an answer had so many: a server may have
    a cap of its own below. `origins`: other origins that pages may be on.
    """

    by: Literal["cursor", "link", "url", "page", "offset"]
    path: Path = ()
    header: str = ""
    param: str | None = None
    start: str = ""
    keep: bool = False
    size: int | None = None
    origins: tuple[str, ...] = ()
    max_pages: int = 1000

    @property
    def by_url(self) -> bool:
        """Whether the token of a page is its URL."""
        return self.by in ("link", "url")

    @property
    def counted(self) -> bool:
        """Whether the token of a page is a number that is counted here."""
        return self.by in ("page", "offset")

    def page_url(self, base: str, token: str | None) -> str:
        """The URL of the page at `token`; `base` is the URL of the source."""
        if self.by_url:
            return base if token is None else token
        cursor = self._cursor(token)
        if self.param is None:
            return fill_url(base, {"cursor": cursor})
        return str(httpx.URL(base).copy_merge_params({self.param: cursor})) if cursor else base

    def placeholder_values(self, token: str | None) -> dict[str, str]:
        """The text of `{cursor}`; {} if pages are given by URLs."""
        return {} if self.by_url else {"cursor": self._cursor(token)}

    def is_full(self, records: int | None) -> bool:
        """Whether an answer has as many records as the declared size."""
        return self.size is not None and records is not None and records >= self.size

    def next_token(
        self, request_url: str, token: str | None, fetched: Fetched, records: int | None, *, full: bool
    ) -> str | None:
        """The token of the page after this answer to `request_url`; None: it was the last page. `full`: whether a page
        of this round was full. Raises PagingError."""
        if self.by == "link":
            return self._linked_url(request_url, _next_link(fetched.link))
        if self.by == "url":
            return self._linked_url(request_url, next_cursor(fetched.body, self.path))
        if self.counted:
            return self._counted_token(token, records, full=full)
        if self.header:
            return fetched.headers.get(self.header.lower(), "").strip() or None
        return next_cursor(fetched.body, self.path)

    def _cursor(self, token: str | None) -> str:
        return self.start if token is None else token

    def _counted_token(self, token: str | None, records: int | None, *, full: bool) -> str | None:
        if records is None:
            raise PagingError("unexpected", "the records of the answer cannot be counted, so neither can its pages")
        if records == 0 or (full and not self.is_full(records)):
            return None
        return str(int(self._cursor(token)) + (1 if self.by == "page" else records))

    def _linked_url(self, request_url: str, target: str | None) -> str | None:
        """The absolute URL of a link in the answer to `request_url`. Raises PagingError for another origin."""
        if target is None:
            return None
        try:
            base = httpx.URL(request_url)
            url = base.join(target)
        except httpx.InvalidURL as error:
            raise PagingError("protocol", f"the link to the next page is not a URL: {error}") from None
        origin = origin_of(url)
        if origin != origin_of(base) and origin not in self.origins:
            where = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"[:80]
            message = f"the link to the next page leads to another origin: {where} (source.page.origins allows it)"
            raise PagingError("foreign_link", message)
        return str(url.copy_with(fragment=None))


def origin_of(url: httpx.URL | str) -> str:
    """`https://api.example.com:443`: the origin of a URL, to which credentials belong."""
    url = httpx.URL(url)
    return f"{url.scheme}://{url.host}:{url.port or {'http': 80, 'https': 443}.get(url.scheme, 0)}"


def next_cursor(body: bytes, path: Path) -> str | None:
    """The cursor at a path of a JSON document; None if it is missing, null, false or empty."""
    raw: bytes | msgspec.Raw = strip_body(body)
    try:
        raw = raw_at(raw, path)
        value, digits = _value.decode(raw), bytes(raw).decode().strip()
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, RecursionError):  # also for NaN elsewhere in it
        value = value_at(body, path)
        digits = str(value)
    if isinstance(value, str):
        return value or None
    return digits if isinstance(value, int | float) and not isinstance(value, bool) else None


def _next_link(header: str) -> str | None:
    links = httpx.Response(200, headers={"link": header}).links if header else {}
    return next((link["url"] for rel, link in links.items() if rel and "next" in rel.lower().split()), None)
