"""A feed's `[source]` as data: what is polled, how often, and with which credentials. `sources/` does the polling."""

from typing import Any, Final, Literal

from tidemill.feeds.convert import Table

HTTP: Final = "http"
MQTT: Final = "mqtt"
DEFAULT_EVERY: Final = "10s"


class SourceNothing(Table, frozen=True):
    """A sign by which an answer says that it has no records: at `path` is the value `equals` (a text, a number, true
    or false), or with `absent` there is nothing or null. Signs are looked for in JSON without records."""

    path: str
    equals: str | int | float | bool | None = None
    absent: bool = False


class SourceBody(Table, frozen=True):
    """The body of a request, sent by POST: one of `json` (a table), `form` (names and texts), `text`, or `graphql` (a
    query) with `variables`. Texts may hold placeholders; in JSON `"{start:number}"` becomes a number."""

    json: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    text: str | None = None
    graphql: str | None = None
    variables: dict[str, Any] = {}


class SourceBasic(Table, frozen=True):
    """HTTP basic authentication: user and password."""

    user: str
    password: str = ""


class SourceKey(Table, frozen=True):
    """An API key: sent in `header`, behind `prefix` (`Bearer `, `Token `), or as the query parameter `param`."""

    value: str
    header: str | None = None
    prefix: str = ""
    param: str | None = None


class SourceOAuth2(Table, frozen=True):
    """OAuth 2: a token is requested at `token_url` with client credentials, or with a `refresh_token` that the user
    got before; it is renewed before it expires and after a 401. `send_as`: how the client authenticates. `params`:
    further parameters that a server wants, such as `audience`. A refresh token that the server replaces is stored until
    the definition has another one; no token is ever shown."""

    token_url: str
    client_id: str
    client_secret: str = ""
    refresh_token: str = ""
    scope: tuple[str, ...] = ()
    send_as: Literal["basic", "body"] = "body"
    params: dict[str, str] = {}


class SourceWindow(Table, frozen=True):
    """Read a source in windows of `size` from `start` (RFC 3339) to now minus `lag`; `{start}` and `{stop}` in the URL
    or `params` are written as `format`: `rfc3339`, `unix_s`, `unix_ms`, `date`, `local` (`2026-03-01T14:00:00`) or a
    pattern of `strftime` (`%d.%m.%Y %H:%M`), the last three by the clocks of `zone`. Bounds that a format cannot say
    exactly are widened. `end = "inclusive"`: the server includes the end, so `{stop}` is the last unit of the format
    before the next window (a day, a second, a millisecond). The last `overlap` is read again each time."""

    start: str
    size: str = "1d"
    lag: str = "0s"
    overlap: str = "0s"
    format: str = "rfc3339"
    zone: str = "UTC"
    end: Literal["exclusive", "inclusive"] = "exclusive"


class SourcePaging(Table, frozen=True):
    """Read a source page by page. The cursor is stored once its page was taken, so a restart goes on at the next page.

    `cursor`: the next page's cursor is at `cursor_path` in the answer, and is sent as the query parameter `param` or
    where the URL says `{cursor}`; the first page is requested with `start` (empty: without `param`). With
    `cursor_header` it is in that header of the answer instead. `url`: at `cursor_path` is the next page's URL;
    `link`: it is the answer's `Link` header with `rel="next"`. Such a URL is followed on the same origin, and on those
    of `origins`, which get no credentials. `page` counts pages from `start` (1), `offset` records from `start` (0): the
    number is sent as a cursor is, and an answer without records is the last; so is one with fewer than `size`,
    once an answer had so many (a server may have a cap below).

    The page that names no next one ends the round; the next round begins anew, or with `keep` at the last cursor (for
    APIs with a "since" token). After `max_pages` the rest waits for the next round.
    """

    by: Literal["cursor", "link", "url", "page", "offset"]
    cursor_path: str | None = None
    cursor_header: str | None = None
    param: str | None = None
    start: str = ""
    keep: bool = False
    size: int | None = None
    origins: tuple[str, ...] = ()
    max_pages: int = 1000


class SourceMqtt(Table, frozen=True):
    """What to subscribe to at the broker `url` (`mqtts://host:8883`, or `mqtt://host:1883` without TLS), as the user of
    `basic`. `topics` are templates: `plant/{site}/{device}/state` names two levels, `+` is a level without a name, `#`
    at the end any number of levels.

    Each message becomes a record, a line of JSON: `{"topic": {"name": "plant/a/p1/state", "site": "a", "device": "p1"},
    "labels": [], "message": ...}`. `message` is the message's own JSON, byte for byte; of other text a JSON text,
    of other bytes Base64. So a tag is at `$.topic.site`, a field at `$.message.level`, or at `$.message` where it is
    one number. A message that the broker kept from before the subscription has the label `retained` ([labels] path =
    `$.labels`, and the check `label_absent` flags or rejects it); with `retained = "skip"` it is not taken.

    Messages that come within 0.3 s are one payload. A message is acknowledged to the broker once the log has it: while
    this server is away the broker keeps it, for `session` at most. A message that the broker sends again is recognised,
    and is not stored twice. `qos` is 0 or 1; messages that were published with QoS 2 come with QoS 1, and count once
    by the same means. `client_id` is made once and kept, unless it is given; two servers need two.
    `protocol`: `5`, or `3.1.1` for brokers that know no other (then the broker says how many messages it sends ahead).
    `ca` is the certificate of the broker's authority as PEM, `certificate` and `key` are the client's own:
    `"${file:/run/secrets/TENANT/ca.pem}"`.

    `every` is how long nothing may come until the poll ledger says `empty` (60 s); `timeout` is for connecting.
    `max_bytes`: a broker of protocol 5 does not send longer messages; others are dropped, and the poll ledger says
    how many."""

    topics: tuple[str, ...]
    qos: Literal[0, 1] = 1
    retained: Literal["take", "skip"] = "take"
    client_id: str | None = None
    session: str = "7d"
    protocol: Literal["5", "3.1.1"] = "5"
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class Source(Table, frozen=True):
    """A pull connector. `kind`: `http`; `mqtt`, which subscribes to a broker ([source.mqtt]); or the name of a plug-in,
    which gets `options`.

    `url`, `params`, `headers`, `body`, `basic`, `api_key`, `oauth2`, `mqtt` and `options` may hold `${NAME}` or
    `${NAME:-default}` from the environment and `${file:/run/secrets/TENANT/name}` (the variables that the setting
    `source_variables` gives the tenant, and files below its folder in that of the setting `secrets`). If they leave the
    `url` empty (`${NAME:-}`), nothing is polled. A value from a file, or from a variable without a default, is a secret
    and never shown again. A file is read again when it has changed.
    `each` repeats the poll for every value of a parameter, with a cursor for each.

    The source is polled at the interval `every`, or at the times of `cron` (five fields, in the zone `tz`). `drain`:
    poll until `empty_status`, then wait. `conditional`: a plain poll sends the ETag and date of the last answer, and
    304 is `unchanged`; `skip_unchanged`: the same bytes again are `unchanged`, too (else a repeated value is data).
    `timeout` is the longest silence; an answer that took longer than `slow_after` (default: half of it) is `slow`.
    `rate`, such as `60/1h`: how many requests the host may get; they are spaced evenly, over all sources of the tenant
    with this host. `Retry-After` of an answer, seconds or date, is respected in full, up to a day, by all items. After
    `open_after` failures in a row the source is not polled for 5 x `max_backoff`, at most `open_for`. `allow`: the
    private networks (CIDR) that this source may reach, of those that the server allows.

    An answer without the declared records is unusable, whatever its status: the result is `unexpected`, and the same
    request is repeated. `error_path`: a value there (other than null, false, 0 or empty) is an error, also in an answer
    with records. `nothing`: how an answer without records says that there are none; an empty list always does.
    """

    kind: str = HTTP
    options: dict[str, Any] = {}
    url: str = ""
    params: dict[str, str] = {}
    each: dict[str, str] = {}  # parameter -> comma-separated values
    headers: dict[str, str] = {}
    body: SourceBody | None = None
    basic: SourceBasic | None = None
    api_key: SourceKey | None = None
    oauth2: SourceOAuth2 | None = None
    every: str | None = None
    cron: str | None = None
    tz: str = "UTC"
    drain: bool = False
    rate: str | None = None
    empty_status: tuple[int, ...] = (204, 404)
    error_path: str | None = None
    nothing: tuple[SourceNothing, ...] = ()
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
    mqtt: SourceMqtt | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        """The secrets among the source's values."""
        return ()

    def __repr__(self) -> str:
        return f"Source({self.kind})"  # without the values: they may be secrets


class FilledSource(Source, frozen=True):
    """A source whose references were filled in, and the secrets among the values."""

    secrets: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # the files that were read, each with the SHA-256 of its text

    @property
    def hidden(self) -> tuple[str, ...]:
        """The secrets among the source's values."""
        return self.secrets

    def __repr__(self) -> str:
        return f"FilledSource({self.kind})"
