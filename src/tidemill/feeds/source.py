"""A feed's `[source]`: where it pulls from, how often, and with what. Data only; `sources/` does the polling."""

from typing import Literal

from tidemill.feeds.table import Table


class SourceWindow(Table, frozen=True):
    """Read a source in windows of `size` from `start` (RFC 3339) to now minus `lag`; `{start}` and `{stop}` in `params`
    are written as `format`. The last `overlap` is read again each time."""

    start: str
    size: str = "1d"
    lag: str = "0s"
    overlap: str = "0s"
    format: Literal["date", "rfc3339"] = "rfc3339"


class Source(Table, frozen=True):
    """A pull connector. `url`, `params` and `headers` may hold `${NAME:-default}` from the environment, read at load.

    `each` repeats the poll for every value of a parameter, with a cursor each. `drain`: poll until `empty_status`, then
    wait `every`. `allow`: the private networks (CIDR) that this source means to reach, of those the server allows."""

    url: str
    params: dict[str, str] = {}
    each: dict[str, str] = {}  # parameter -> comma-separated values
    headers: dict[str, str] = {}
    every: str = "10s"
    drain: bool = False
    empty_status: tuple[int, ...] = (204, 404)
    timeout: str = "10s"
    max_bytes: int = 8 << 20
    max_backoff: str = "60s"
    allow: tuple[str, ...] = ()
    window: SourceWindow | None = None
