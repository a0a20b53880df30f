"""Proxies in front of this server whose word is taken: `X-Forwarded-Proto` says that TLS ended there, `X-Forwarded-For`
who sent the request.

Only a request whose peer is one of the listed networks is read so: anybody can write such headers.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SCHEMES: Final = {b"http": "http", b"https": "https"}


class TrustedProxies:
    """The proxies in `networks`, CIDRs with commas between them; empty for none."""

    def __init__(self, networks: str) -> None:
        self._networks: tuple[Network, ...] = tuple(
            ipaddress.ip_network(part.strip()) for part in networks.split(",") if part.strip()
        )

    def __bool__(self) -> bool:
        return bool(self._networks)

    def seen_through(self, scope: Any, headers: Mapping[bytes, bytes]) -> Any:
        """The ASGI scope of a request as its client sent it to the outermost trusted proxy; the same scope where the
        peer is no trusted proxy. Of several values in a header the last was written by the nearest proxy."""
        client = scope.get("client")
        if client is None or not self._has(client[0]):
            return scope
        scheme = _SCHEMES.get(headers.get(b"x-forwarded-proto", b"").rpartition(b",")[2].strip().lower())
        sender = self._sender(headers.get(b"x-forwarded-for", b"").decode("latin-1"))
        return {**scope, "scheme": scheme or scope["scheme"], "client": (sender, 0) if sender else client}

    def _sender(self, forwarded: str) -> str:
        """The nearest address in `X-Forwarded-For` that is no trusted proxy; empty where there is none."""
        for part in reversed(forwarded.split(",")):
            address = part.strip().strip("[]")
            if _address(address) is None:
                return ""
            if not self._has(address):
                return address
        return ""

    def _has(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
