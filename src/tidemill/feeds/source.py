"""A feed's `[source]`: where it pulls from, how often, and with what. Data only; `sources/` does the polling."""

from typing import Any, Final, Literal

from tidemill.feeds.table import Table

HTTP: Final = "http"
DEFAULT_EVERY: Final = "10s"


class SourceWindow(Table, frozen=True):
    """Read a source in windows of `size` from `start` (RFC 3339) to now minus `lag`; `{start}` and `{stop}` in the URL
    or `params` are written as `format`. The last `overlap` is read again each time."""

    start: str
    size: str = "1d"
    lag: str = "0s"
    overlap: str = "0s"
    format: Literal["date", "rfc3339"] = "rfc3339"


class SourcePaging(Table, frozen=True):
    """Read a source page by page, each remembered once it was taken, so that a restart goes on at the next one.

    `cursor`: the next page's cursor is at `cursor_path` in the answer, and is sent as the query parameter `param` or
    where the URL says `{cursor}`; the first page is asked for with `start` (empty: without `param`). `link`: the next
    page is the answer's `Link` header with `rel="next"`, on the same origin. The page that names no next one ends the
    round; the next round begins anew, or with `keep` at the last cursor (for APIs with a "since" token). After
    `max_pages` the rest waits for the next round.
    """

    by: Literal["cursor", "link"]
    cursor_path: str | None = None
    param: str | None = None
    start: str = ""
    keep: bool = False
    max_pages: int = 1000


class Source(Table, frozen=True):
    """A pull connector. `kind`: `http`, or the name of a plug-in, which gets `options`.

    `url`, `params`, `headers` and `options` may hold `${NAME}` or `${NAME:-default}` from the environment and
    `${file:/run/secrets/TENANT/name}`, read at load (the variables that the setting `source_variables` gives the
    tenant, and files below its folder in that of the setting `secrets`); a `url` that they leave empty (`${NAME:-}`)
    polls nothing; what comes from a file, or from a variable without a default, is a secret and never shown again.
    `each` repeats the poll for every value of a parameter, with a cursor each.

    It is polled `every` so often, or as `cron` says (five fields, in the zone `tz`). `drain`: poll until
    `empty_status`, then wait. `conditional`: a plain poll sends the ETag and date of the last answer, and 304 is
    `unchanged`; `skip_unchanged`: the same bytes again are `unchanged` too (else a repeated value is data).
    `timeout` is the longest silence; an answer that took longer than `slow_after` (default: half of it) is `slow`.
    After `open_after` failures in a row the source is left alone for 5 x `max_backoff`, at most `open_for`.
    `allow`: the private networks (CIDR) that this source means to reach, of those the server allows.
    """

    kind: str = HTTP
    options: dict[str, Any] = {}
    url: str = ""
    params: dict[str, str] = {}
    each: dict[str, str] = {}  # parameter -> comma-separated values
    headers: dict[str, str] = {}
    every: str | None = None
    cron: str | None = None
    tz: str = "UTC"
    drain: bool = False
    empty_status: tuple[int, ...] = (204, 404)
    conditional: bool = True
    skip_unchanged: bool = False
    timeout: str = "10s"
    slow_after: str | None = None
    max_bytes: int = 8 << 20
    max_backoff: str = "60s"
    open_after: int = 10
    open_for: str = "5m"
    allow: tuple[str, ...] = ()
    window: SourceWindow | None = None
    page: SourcePaging | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        """The secrets in it."""
        return ()

    def __repr__(self) -> str:
        return f"Source({self.kind})"  # not its values: they may be secrets


class FilledSource(Source, frozen=True):
    """A source whose references were filled in, and the secrets that this brought."""

    secrets: tuple[str, ...] = ()

    @property
    def hidden(self) -> tuple[str, ...]:
        """The secrets in it."""
        return self.secrets

    def __repr__(self) -> str:
        return f"FilledSource({self.kind})"
