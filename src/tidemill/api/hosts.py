"""The names and addresses of this server: which `Host` it answers to, and which `Origin` is a page of its own.

A page in a browser can send requests to a server that only the user's machine reaches: through a name of the attacker
that resolves to it (DNS rebinding), or directly across sites. So a name counts only if it is listed; an address needs
no list where the server listens on all addresses, because no DNS can redirect an address (decision 0017).
"""

import ipaddress
import re
from typing import Final

MAX_REMEMBERED: Final = 1024  # values of `Host` known to be of this server; each may have another port
_AUTHORITY: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?")
_ORIGIN: Final = re.compile(rb"(https?)://([^/@\s]+)", re.ASCII)
_PORTS: Final = {b"http": b"80", b"https": b"443"}
_LOOPBACK_NAMES: Final = frozenset({"localhost"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ServerHosts:
    """Names and addresses of one server. `listen`: the host that it listens on; `listed`: more, separated by commas,
    names, addresses, or `*.example.org` for every name below example.org."""

    def __init__(self, listen: str, listed: str = "") -> None:
        entries = [entry.strip().strip("[]").lower() for entry in listed.split(",") if entry.strip()]
        self._below = tuple(entry[1:] for entry in entries if entry.startswith("*."))
        self._listed = frozenset(entries)
        self._names = _LOOPBACK_NAMES | self._listed | {listen.lower()}
        self._addresses = frozenset(filter(None, map(_address, self._names)))
        wildcard = _address(listen)
        self._any_address = wildcard is not None and wildcard.is_unspecified
        self._remembered: set[bytes] = set()

    @property
    def remembered(self) -> set[bytes]:
        """Values of `Host` known to be of this server, for a cheap look-up; a missing value may be of this server."""
        return self._remembered

    def is_ours(self, host: bytes) -> bool:
        """Whether a `Host` (any port) names this server. Raises ValueError for a malformed one."""
        if host in self._remembered:
            return True
        name, _ = split_authority(host)
        if not self._has(name):
            return False
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered.add(host)
        return True

    def is_own_page(self, origin: bytes, host: bytes) -> bool:
        """Whether an `Origin` is a page of this server: of the same authority as `host`, or of a listed name (a proxy
        may have replaced `Host`). Another port on the same machine is another application; `null` is no page."""
        match = _ORIGIN.fullmatch(origin)
        if match is None:
            return False
        default = _PORTS[match[1]]
        try:
            (name, port), (own_name, own_port) = split_authority(match[2]), split_authority(host)
        except ValueError:
            return False
        return name in self._listed or (name, port or default) == (own_name, own_port or default)

    def _has(self, name: str) -> bool:
        address = _address(name)
        if address is None:
            return name in self._names or (name.endswith(self._below) if self._below else False)
        return self._any_address or address.is_loopback or address in self._addresses


def split_authority(authority: bytes) -> tuple[str, bytes]:
    """An authority as (name or address in lower case without brackets, port or b""). Raises ValueError."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError("is not HOST or HOST:PORT")
    return match[1].decode("ascii").strip("[]").lower(), match[2] or b""


def _address(text: str) -> Address | None:
    """The IP address of a text (IPv4-mapped IPv6 as IPv4), or None for a name."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
