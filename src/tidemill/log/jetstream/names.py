"""Where a log over JetStream is, and the names of its streams and subjects.

`nats://host:port,host:port,host:port/name?monitor=http://host:8222,http://host:8222,...`: the servers of one cluster,
the name of the installation (default `tidemill`), and the monitor of each server (default: port 8222 of its host).
"""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from tidemill.errors import StartupError

DEFAULT_NAME: Final = "tidemill"
DEFAULT_PORT: Final = 4222
MONITOR_PORT: Final = 8222
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SERVER: Final = re.compile(r"(?P<user>[^@,/]+@)?(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(:(?P<port>\d{1,5}))?")
_EXAMPLE: Final = "nats://nats-0:4222,nats-1:4222,nats-2:4222"


class LogAddress(msgspec.Struct, frozen=True):
    """The servers (`nats://host:port`), their monitors (`http://host:port`) and the name of a log."""

    servers: tuple[str, ...]
    monitors: tuple[str, ...]
    name: str = DEFAULT_NAME


def parse_log_address(text: str) -> LogAddress:
    """The address in the value of TIDEMILL_LOG. Raises StartupError, with an example, when it is none."""
    try:
        parts = urlsplit(text.strip())
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise _address_error(text, str(error)) from error
    if parts.scheme != "nats":
        raise _address_error(text, "it must begin with nats://")
    if unknown := set(options) - {"monitor"}:
        raise _address_error(text, f"'{min(unknown)}' is no option: there is 'monitor'")
    name = parts.path.strip("/") or DEFAULT_NAME
    if not _NAME.fullmatch(name):
        raise _address_error(text, f"the name '{name}' may have letters, digits, _ and - only")
    servers, monitors = [], []
    for server in parts.netloc.split(","):
        match = _SERVER.fullmatch(server)
        if match is None or int(match["port"] or 1) not in range(1, 65536):
            raise _address_error(text, f"'{server.rpartition('@')[2]}' is not host:port")
        servers.append(f"nats://{match['user'] or ''}{match['host']}:{match['port'] or DEFAULT_PORT}")
        monitors.append(f"http://{match['host']}:{MONITOR_PORT}")
    if "monitor" in options:
        monitors = [url.rstrip("/") for url in options["monitor"][0].split(",")]
        if not all(url.startswith(("http://", "https://")) for url in monitors):
            raise _address_error(text, "each monitor must begin with http:// or https://")
    return LogAddress(tuple(servers), tuple(monitors), name)


def _address_error(text: str, why: str) -> StartupError:
    shown = re.sub(r"[^/@,]+@", "…@", text)  # without passwords
    return StartupError(f"TIDEMILL_LOG is '{shown}', which is no address of a log: {why}. Example: {_EXAMPLE}")


class StreamNames(msgspec.Struct, frozen=True):
    """The names of one partition's stream and subjects.

    Entries are on `entries` (a filter of two subjects, data and deletions), the earlier parts of large bodies on
    `parts`; `removable` covers both. The idempotency keys are on subjects below `keys`."""

    name: str
    partition: int

    @property
    def stream(self) -> str:
        """The stream of the partition."""
        return f"{self.name}_LOG_{self.partition}"

    @property
    def base(self) -> str:
        """The prefix of all subjects of the partition."""
        return f"{self.name}.log.{self.partition}"

    @property
    def entries(self) -> str:
        """The filter that covers data and deletions."""
        return f"{self.base}.e.x.*"

    @property
    def data(self) -> str:
        """The subject of data and of refused payloads."""
        return f"{self.base}.e.x.data"

    @property
    def deletions(self) -> str:
        """The subject of deletions."""
        return f"{self.base}.e.x.del"

    @property
    def parts(self) -> str:
        """The subject of the earlier parts of large bodies."""
        return f"{self.base}.e.part"

    @property
    def removable(self) -> str:
        """The filter that covers entries and parts."""
        return f"{self.base}.e.>"

    def key(self, digest: str) -> str:
        """The subject of an idempotency key."""
        return f"{self.base}.k.{digest}"

    @property
    def marks(self) -> str:
        """The stream of the marks of all partitions."""
        return f"{self.name}_MARKS"

    @property
    def erased_mark(self) -> str:
        """The subject of the offset up to which everything is erased."""
        return f"{self.name}.mark.{self.partition}.erased"

    @property
    def high_mark(self) -> str:
        """The subject of the newest offset that was acknowledged."""
        return f"{self.name}.mark.{self.partition}.high"
