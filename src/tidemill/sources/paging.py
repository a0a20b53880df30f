"""Where the next page is: a cursor or a URL in the answer, a `Link` header (RFC 8288), or counted. Pure."""

from typing import Literal

import httpx
import msgspec

from tidemill.decode.documents import strip_body
from tidemill.sources.answers import value_at
from tidemill.sources.http import Fetched
from tidemill.sources.templates import fill

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_value = msgspec.json.Decoder(str | int | float | bool | None)


class PagingError(Exception):
    """The next page cannot be gone to. `reason` is a reason of the source's state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """How a source is paged. `path` is where an answer has the next cursor or URL, `header` the header that has the
    cursor instead. `size`: an answer of fewer records is the last. `origins`: other ones that pages may lead to."""

    by: Literal["cursor", "link", "url", "page", "offset"]
    path: tuple[str, ...] = ()
    header: str = ""
    param: str | None = None
    start: str = ""
    keep: bool = False
    size: int | None = None
    origins: tuple[str, ...] = ()
    max_pages: int = 1000

    @property
    def by_url(self) -> bool:
        """Whether the place of a page is its URL."""
        return self.by in ("link", "url")

    @property
    def counted(self) -> bool:
        """Whether the place of a page is a number that is counted here."""
        return self.by in ("page", "offset")

    def url(self, base: str, place: str | None) -> str:
        """What to ask for: the page at `place`, or the first one."""
        if self.by_url:
            return base if place is None else place
        cursor = self._cursor(place)
        if self.param is None:
            return fill(base, {"cursor": cursor})
        return str(httpx.URL(base).copy_merge_params({self.param: cursor})) if cursor else base

    def values(self, place: str | None) -> dict[str, str]:
        """What `{cursor}` stands for."""
        return {} if self.by_url else {"cursor": self._cursor(place)}

    def next(self, asked: str, place: str | None, fetched: Fetched, records: int | None) -> str | None:
        """Where the page after this answer to `asked` is; None: this was the last. Raises PagingError."""
        if self.by == "link":
            return self._joined(asked, _next_link(fetched.link))
        if self.by == "url":
            return self._joined(asked, next_cursor(fetched.body, self.path))
        if self.counted:
            return self._counted(place, records)
        if self.header:
            return fetched.headers.get(self.header.lower(), "").strip() or None
        return next_cursor(fetched.body, self.path)

    def _cursor(self, place: str | None) -> str:
        return self.start if place is None else place

    def _counted(self, place: str | None, records: int | None) -> str | None:
        if records is None:
            raise PagingError("unexpected", "the records of the answer cannot be counted, so neither can its pages")
        if records == 0 or (self.size is not None and records < self.size):
            return None
        return str(int(self._cursor(place)) + (1 if self.by == "page" else records))

    def _joined(self, asked: str, target: str | None) -> str | None:
        """The URL that a link of the answer to `asked` leads to."""
        if target is None:
            return None
        try:
            base = httpx.URL(asked)
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
    """`https://api.example.com:443`: what may be asked with the same credentials."""
    url = httpx.URL(url)
    return f"{url.scheme}://{url.host}:{url.port or {'http': 80, 'https': 443}.get(url.scheme, 0)}"


def next_cursor(body: bytes, path: tuple[str, ...]) -> str | None:
    """The cursor at a path of a JSON document. Missing, null, false and empty say that there is none."""
    raw: bytes | msgspec.Raw = strip_body(body)
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


def _next_link(header: str) -> str | None:
    links = httpx.Response(200, headers={"link": header}).links if header else {}
    return next((link["url"] for rel, link in links.items() if rel and "next" in rel.lower().split()), None)
