"""The table of all settings: name, default, and meaning.

A setting comes from the command line, else from `TIDEMILL_<NAME>` in the environment, else from its default here.
`Runtime` is not for users: the supervisor passes it to the processes that it starts.
"""

import ipaddress
import itertools
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from tidemill.errors import StartupError

MIB = 1 << 20
_LOOPBACK: Final = "127.0.0.0/8,::1/128"
_HOST: Final = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII | re.IGNORECASE)
_VARIABLES: Final = "TIDEMILL_SOURCE_VARIABLES"
_ORIGINS: Final = "TIDEMILL_CORS_ORIGINS"
_ORIGIN: Final = re.compile(
    r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?([/?#].*)?", re.ASCII | re.IGNORECASE
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?|\*", re.ASCII)
_BOUND: Final = re.compile(r"(?:([a-z0-9][a-z0-9-]{0,62})\s*=)?([^=]*)", re.ASCII)
DEFAULT_TENANT: Final = "default"


def _setting(help_text: str, **constraints: Any) -> Any:
    return msgspec.Meta(description=help_text, **constraints)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a user. Sizes in bytes, times in seconds, unless the name says otherwise."""

    data: Annotated[str, _setting("Folder that holds everything: log, catalog, store.")] = "data"
    listen: Annotated[str, _setting("HOST:PORT to serve on.")] = "127.0.0.1:8080"
    hosts: Annotated[
        str,
        _setting(
            "More names and addresses of this server, separated by commas; `*.example.org` is every name below "
            "example.org. Loopback and the address of `listen` need no mention; listening on 0.0.0.0 or ::, no address "
            "does. A request to any other name is answered 421."
        ),
    ] = ""
    trusted_proxies: Annotated[
        str,
        _setting(
            "Networks of the proxies in front of this server (CIDRs, comma-separated). Of these alone "
            "`X-Forwarded-Proto` and `X-Forwarded-For` are believed: whether TLS ended there, so that cookies are for "
            "TLS only, and who sent a request. Default: none."
        ),
    ] = ""
    cors_origins: Annotated[
        str,
        _setting(
            "Origins of pages of your own that may use the API from a browser, with a key and never with a session, "
            "separated by commas: `https://app.example.org,http://localhost:3000`. Exact; no path, no `*`. Default: "
            "none."
        ),
    ] = ""
    demo: Annotated[bool, _setting("Run the simulators against this server, so that there is something to see.")] = (
        False
    )
    max_body: Annotated[int, _setting("Largest request body, after unpacking it may be 8 times that.", ge=1024)] = (
        8 * MIB
    )
    max_bulk_body: Annotated[int, _setting("Largest body of POST /v1/series.", ge=1024)] = 64 * MIB
    max_unpacked: Annotated[int, _setting("Largest body after gzip or zstd is undone.", ge=1024)] = 64 * MIB
    max_ratio: Annotated[int, _setting("Largest ratio of unpacked to packed size.", ge=1)] = 100
    max_series: Annotated[int, _setting("Series that a tenant may have before its open feeds make no more.", ge=1)] = (
        1_000_000
    )
    body_timeout: Annotated[float, _setting("Seconds a client may take to send a body.", gt=0)] = 30.0
    max_depth: Annotated[int, _setting("Deepest nesting of JSON.", ge=2, le=128)] = 16
    max_wait: Annotated[float, _setting("Longest wait that `Prefer: wait=N` may ask for.", ge=0)] = 30.0
    series_wait: Annotated[
        float,
        _setting("Seconds from its first byte that a POST or DELETE of a series waits.", ge=0),
    ] = 0.25
    log: Annotated[
        str,
        _setting(
            "Servers of a NATS JetStream that keep the log, nats://HOST:PORT,HOST:PORT,HOST:PORT/NAME: then several "
            "`tidemill api` may run on one data folder, which keeps catalog and progress. Each node must sync always "
            "and show its monitor (?monitor=http://HOST:8222,...). Default: the log is in the data folder."
        ),
    ] = ""
    store: Annotated[
        str,
        _setting(
            "URL of a store that runs by itself, http://tidemill:PASSWORD@HOST:PORT/DATABASE: where `tidemill store` "
            "listens and `tidemill api|mill|worker` look. Default: a port and a password that the data folder keeps. "
            "`tidemill serve` starts a store of its own."
        ),
    ] = ""
    store_password_file: Annotated[
        str, _setting("File with the password of `store`, so that it need not be in the URL.")
    ] = ""
    partitions: Annotated[
        int, _setting("Partitions of the log, as it is made: each has a file and a mill of its own.", ge=1, le=16)
    ] = 1
    log_keep_s: Annotated[float, _setting("Seconds an applied payload stays in the log.", ge=0)] = 86_400.0
    log_keep_bytes: Annotated[int, _setting("Bytes of applied payloads that stay in the log.", ge=0)] = 2048 * MIB
    min_free_bytes: Annotated[int, _setting("Free disk below which nothing is accepted.", ge=0)] = 256 * MIB
    min_free_ratio: Annotated[float, _setting("The same as a share of the disk; the larger counts.", ge=0, lt=1)] = 0.05
    erase_within: Annotated[
        float, _setting("Seconds after a deletion by which its bytes are gone from disk.", gt=0, le=72 * 3600)
    ] = 72 * 3600.0
    clock_wait: Annotated[
        float,
        _setting(
            "Seconds that the system's clock must run steadily, after it jumped by more than a day, before anything is "
            "removed by age.",
            ge=0,
        ),
    ] = 72 * 3600.0
    clock_confirmed: Annotated[
        str,
        _setting(
            "A time at which you know the system's clock to be right although it jumped, such as 2026-01-31T12:00:00Z: "
            "within a day of it nothing waits for clock_wait."
        ),
    ] = ""
    query_timeout: Annotated[float, _setting("Seconds a query may run in the store.", gt=0)] = 30.0
    query_memory: Annotated[int, _setting("Bytes a query may use in the store.", ge=MIB)] = 1024 * MIB
    secrets: Annotated[
        str,
        _setting(
            "Folder with a folder for each tenant, from which `${file:...}` in its feeds' [source] reads "
            "(/run/secrets/acme/token). Until the first key is made, the tenant default reads all of it."
        ),
    ] = "/run/secrets"
    source_variables: Annotated[
        str,
        _setting(
            "Variables that `${NAME}` in a feed's [source] may read: those of the tenant default, then those of "
            "others, each a list of names (also with a `*` at the end, or none): "
            "`PLANT_TOKEN;acme=ACME_*;bravo=B_URL,B_KEY`. "
            "Default: for the tenant default `TIDEMILL_*` until the first key is made or another tenant is "
            "named, from then on those of the recipes; for others none."
        ),
    ] = ""
    source_allow: Annotated[
        str,
        _setting(
            "Private networks that sources may poll (CIDRs, comma-separated, or none). Default: loopback if the server "
            "listens on loopback and no key was ever made, else none."
        ),
    ] = ""
    worker_memory: Annotated[
        int,
        _setting("Bytes of memory that the process may use that does long jobs, such as a verification.", ge=512 * MIB),
    ] = 2048 * MIB
    job_keep_days: Annotated[
        float, _setting("Days that a job which is over (a replay, a verification) is kept with its result.", ge=0)
    ] = 30.0
    job_keep: Annotated[
        int, _setting("Jobs of each kind that are over and that a tenant keeps however old they are.", ge=0, le=1000)
    ] = 200
    drain: Annotated[
        float,
        _setting(
            "Seconds between SIGTERM and the end of the listener, in which `/readyz` answers 503 and everything else "
            "goes on, so that a balancer sends new requests elsewhere. 0 for a server without one.",
            ge=0,
            le=600,
        ),
    ] = 0.0
    silence: Annotated[float, _setting("Seconds of silence after which a process is replaced.", ge=2)] = 30.0
    log_level: Annotated[str, _setting("debug, info, warning or error.", pattern="^(debug|info|warning|error)$")] = (
        "info"
    )
    log_format: Annotated[
        str,
        _setting(
            "How the log is written to standard error: `json`, one object a line; `text`, for people; `auto`, text on "
            "a terminal and JSON elsewhere.",
            pattern="^(auto|json|text)$",
        ),
    ] = "auto"

    @property
    def insert_memory(self) -> int:
        """Bytes of memory that a statement of the mill may use in the store, so that every accepted payload can be
        stored or set aside: while its row is inserted, four buffers hold it, each as long as the next power of two."""
        return max(256 * MIB, 9 * max(self.max_body, self.max_bulk_body, self.max_unpacked))

    @property
    def host(self) -> str:
        """The host part of `listen`."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part of `listen`."""
        return int(self.listen.rpartition(":")[2])

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def source_networks(self, *, closed: bool) -> str:
        """The private networks that sources may poll, as CIDRs with commas between them; empty for none. `closed`:
        there was a key, so the author of a feed may be a person from outside, whom a proxy lets in."""
        if not self.source_allow:
            return _LOOPBACK if self.on_loopback and not closed else ""
        return "" if self.source_allow.strip() == "none" else self.source_allow

    @property
    def clock_confirmed_ns(self) -> int:
        """`clock_confirmed` in ns since the epoch; 0: not set."""
        return _instant_ns(self.clock_confirmed) if self.clock_confirmed else 0

    @property
    def folder(self) -> Path:
        """`data` as an absolute path."""
        return Path(self.data).absolute()


def load_settings(given: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """The settings from the `given` values (None: not given), then the environment, then the defaults.

    Raises StartupError that names the setting, its value and what it must be.
    """
    environment = os.environ if environment is None else environment
    chosen: dict[str, Any] = {}
    for name in Settings.__struct_fields__:
        variable = f"TIDEMILL_{name.upper()}"
        if given.get(name) is not None:
            chosen[name] = given[name]
        elif environment.get(variable):
            chosen[name] = environment[variable]
    try:
        settings = msgspec.convert(chosen, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise StartupError(f"A setting is wrong: {error}. `tidemill serve --help` lists them all.") from None
    host, colon, port = settings.listen.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise StartupError(f"--listen must be HOST:PORT such as 127.0.0.1:8080, not '{settings.listen}'")
    _check_hosts(settings.hosts)
    _check_networks("TIDEMILL_SOURCE_ALLOW", settings.source_networks(closed=False), " (or none)")
    _check_networks("TIDEMILL_TRUSTED_PROXIES", settings.trusted_proxies)
    origins_of(settings.cors_origins)
    variables_by_tenant(settings.source_variables)
    _check_instant(settings.clock_confirmed)
    return settings


def _check_hosts(text: str) -> None:
    for entry in filter(None, (part.strip() for part in text.split(","))):
        if _HOST.fullmatch(entry):
            continue
        try:
            ipaddress.ip_address(entry.strip("[]"))
        except ValueError:
            raise StartupError(
                "TIDEMILL_HOSTS must be names or addresses without a port, such as tidemill.example.org,*.example.net,"
                f"192.0.2.7, not '{entry[:60]}'"
            ) from None


def _instant_ns(text: str) -> int:
    """The time in ns since the epoch. Raises ValueError for a text that is no time, or has no offset from UTC."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("it has no offset from UTC (such as Z)")
    return int(instant.timestamp()) * 1_000_000_000


def _check_instant(text: str) -> None:
    try:
        _instant_ns(text or "1970-01-01T00:00:00Z")
    except ValueError as error:
        raise StartupError(
            f"TIDEMILL_CLOCK_CONFIRMED must be a time such as 2026-01-31T12:00:00Z, not '{text[:40]}': {error}"
        ) from None


def _check_networks(variable: str, text: str, or_none: str = "") -> None:
    for network in filter(None, (part.strip() for part in text.split(","))):
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise StartupError(f"{variable} must be networks such as 10.1.0.0/16,::1/128{or_none}: {error}") from None


def origins_of(text: str) -> frozenset[str]:
    """The setting `cors_origins` as origins, each as browsers write it. Raises StartupError."""
    origins = frozenset(filter(None, (part.strip() for part in text.split(","))))
    for origin in sorted(origins):
        if fault := _origin_fault(origin):
            raise StartupError(f"{_ORIGINS} must be origins such as https://app.example.org: '{origin[:80]}' {fault}")
    return origins


def _origin_fault(origin: str) -> str:
    """What is wrong with an origin; empty: it is as browsers write it."""
    if "*" in origin:
        return "would let pages of others use the API; name each origin"
    if origin.lower() == "null":
        return "is the origin of any page without one"
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return "is not SCHEME://HOST or SCHEME://HOST:PORT, with http or https"
    scheme, authority, port, rest = match.groups(default="")
    port = "" if port == {"http": ":80", "https": ":443"}[scheme.lower()] else port
    written = f"{scheme}://{authority}{port}".lower()
    if rest:
        return f"has more than an origin; write {written}"
    return "" if written == origin else f"is written {written} by browsers"


def variables_by_tenant(text: str) -> dict[str, tuple[str, ...]]:
    """The setting `source_variables` as tenant -> names, each with or without a `*` at its end; only tenants that the
    setting names. No variable belongs to two tenants. Raises StartupError."""
    bound: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        match = _BOUND.fullmatch(part)
        tenant, names = (match[1] or DEFAULT_TENANT, match[2]) if match else (DEFAULT_TENANT, part)
        if tenant in bound:
            raise StartupError(f"{_VARIABLES} speaks of the tenant '{tenant}' twice; put its names into one list")
        bound[tenant] = _names(names)
    for (tenant, names), (other, others) in itertools.combinations(bound.items(), 2):
        for name, theirs in itertools.product(names, others):
            if _overlap(name, theirs):
                raise StartupError(
                    f"{_VARIABLES} gives what is one tenant's to another: {name} of '{tenant}' and {theirs} of "
                    f"'{other}' name the same variables. Name them one by one, or let them begin differently."
                )
    return bound


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name for part in text.split(",") if (name := part.strip()) not in ("", "none"))
    for name in names:
        if not _NAME.fullmatch(name):
            raise StartupError(
                f"{_VARIABLES} must be names of variables, each with or without a * at its end, such as "
                "TIDEMILL_*,PLANT_TOKEN (or none), for another tenant than default after a semicolon as in "
                f";acme=ACME_*, not '{name[:60]}'"
            )
    return names


def _overlap(name: str, other: str) -> bool:
    """Whether two names, each with or without a `*` at its end, can name the same variable."""
    start, other_start = name.removesuffix("*"), other.removesuffix("*")
    if name.endswith("*") and other.endswith("*"):
        return start.startswith(other_start) or other_start.startswith(start)
    if name.endswith("*"):
        return other.startswith(start)
    return name.startswith(other_start) if other.endswith("*") else name == other


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """The values that the supervisor passes to the processes that it starts, as JSON on standard input, which other
    users cannot read as they can an environment. It is never shown.

    `listen_fd` and `internal_fd` are listening sockets that outlive a restart of `api`, so that a connection made
    meanwhile waits instead of being refused. `hint_fd` is one end of a datagram socket pair between `api` and `mill`
    (`hints.py`). `wake_fds` are the ends of the pipe by which `api` wakes `worker` (`wake.py`). `generations_fd`:
    memory in which `store` counts writes for `api` (`store/generations.py`). `url`: the server's public URL.
    `stand_ins`: the demonstration's servers and their listening sockets. `alone`: the process has no supervisor and
    no siblings that it inherits sockets from (`parts.py`); then `hint_fd` is -1.
    """

    settings: Settings
    intake_secret: str
    store_secret: str
    store_port: int
    internal_port: int
    listen_fd: int = -1
    internal_fd: int = -1
    hint_fd: int = -1
    wake_fds: tuple[int, int] = (-1, -1)
    generations_fd: int = -1
    open_access: bool = False
    url: str = ""
    stand_ins: tuple[tuple[str, int], ...] = ()
    alone: bool = False
    store_host: str = "127.0.0.1"
    store_user: str = "tidemill"
    store_database: str = "tidemill"
