"""Decides which addresses sources may connect to: public addresses, and those in private networks that were allowed.

Pure: nothing is resolved or connected to here. The table below is the special-purpose registries of IANA (RFC 6890 and
its updates) with the metadata services of the large clouds; other addresses must be global by the standard library,
too. An IPv6 address that carries an IPv4 address must pass with both, because a translator or tunnel on the way may
unpack it. A mapped address (`::ffff:10.0.0.1`) is only another spelling and is treated as the IPv4 address.
"""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import msgspec

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The first network that holds an address says what it is. None: as public as the IPv4 address within.
_KINDS: Final[tuple[tuple[Network, str | None], ...]] = tuple(
    (ip_network(network), what)
    for network, what in (
        ("0.0.0.0/32", "the unspecified address"),
        ("0.0.0.0/8", "an address of this network"),
        ("10.0.0.0/8", "a private address"),
        ("100.100.100.200/32", "the address of a cloud's metadata service"),
        ("100.64.0.0/10", "a carrier's shared address (CGNAT)"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "the address of a cloud's metadata service"),
        ("169.254.169.254/32", "the link-local address of a cloud's metadata service"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "the unspecified address"),
        ("::1/128", "a loopback address"),
        ("64:ff9b::/96", None),
        ("64:ff9b:1::/48", "an address of a local translator (NAT64)"),
        ("2001::/32", None),
        ("2001:2::/48", "a benchmarking address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", None),
        ("3fff::/20", "a documentation address"),
        ("fd00:ec2::254/128", "the private address of a cloud's metadata service"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # of IPv6, all that is in public use
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def _last_32_bits(address: IPv6Address) -> tuple[IPv4Address, ...]:
    return (IPv4Address(int(address) & 0xFFFFFFFF),)


def _last_32_bits_if_padded(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The carried address of a /48 for translation, if its position is clear: a /48 may be divided in several ways
    (RFC 6052, 2.2), and only this one can be distinguished from the others."""
    return _last_32_bits(address) if not int(address) >> 32 & (1 << 48) - 1 else ()


def _sixtofour(address: IPv6Address) -> tuple[IPv4Address, ...]:
    return (IPv4Address(int(address) >> 80 & 0xFFFFFFFF),)


def _teredo(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The server's address, and the client's, which is stored with all its bits inverted (RFC 4380, 4)."""
    return IPv4Address(int(address) >> 64 & 0xFFFFFFFF), IPv4Address(~int(address) & 0xFFFFFFFF)


_CARRIERS: Final[tuple[tuple[IPv6Network, Callable[[IPv6Address], tuple[IPv4Address, ...]]], ...]] = (
    (IPv6Network("64:ff9b::/96"), _last_32_bits),
    (IPv6Network("64:ff9b:1::/48"), _last_32_bits_if_padded),
    (IPv6Network("2002::/16"), _sixtofour),
    (IPv6Network("2001::/32"), _teredo),
    (IPv6Network("::/96"), _last_32_bits),  # IPv4-compatible, long deprecated
)


class AddressPolicy(msgspec.Struct, frozen=True):
    """Allows public addresses, and addresses inside `allowed`. `parts` are the server's networks and the feed's if
    `allowed` is their intersection; None: `allowed` is the server's."""

    allowed: tuple[Network, ...] = ()
    parts: tuple[tuple[Network, ...], tuple[Network, ...]] | None = None

    @classmethod
    def parse(cls, text: str) -> "AddressPolicy":
        """The policy of networks in CIDR notation, separated by commas. Raises ValueError with a sentence."""
        return cls(tuple(dict.fromkeys(parse_network(part.strip()) for part in text.split(",") if part.strip())))

    def within(self, other: "AddressPolicy") -> "AddressPolicy":
        """The policy of the addresses that both allow. By convention `self` is the server's policy and `other` a
        feed's, so that `remedy` can name each."""
        shared = [
            network if network.prefixlen >= other_network.prefixlen else other_network
            for network in self.allowed
            for other_network in other.allowed
            if network.overlaps(other_network)
        ]
        return AddressPolicy(tuple(dict.fromkeys(shared)), (self.allowed, other.allowed))

    def refusal(self, address: str | Address) -> str | None:
        """Why this address must not be connected to, as a sentence; None if it may be."""
        if self.parts is not None:
            return next(filter(None, (AddressPolicy(part).refusal(address) for part in self.parts)), None)
        try:
            judged = _plain(address)
        except ValueError:
            return f"'{address}' is not an IP address"
        carrier, carried = _carried(judged)
        # A wide network, such as ::/0, does not allow the IPv4 addresses that could be carried through it.
        if _is_inside(judged, (network for network in self.allowed if _names_carrier(network, carrier))):
            return None
        for inner in carried:
            if (what := _special_kind(inner)) and not _is_inside(inner, self.allowed):
                return f"{judged} carries {inner}, which is {what}"
        if carried and all(_is_inside(inner, self.allowed) for inner in carried):
            return None
        what = _special_kind(judged)
        return f"{judged} is {what}" if what else None

    def remedy(self, addresses: Sequence[str | Address]) -> str:
        """What an administrator writes to allow these addresses, as whole lines that keep the networks allowed so far:
        the server's setting, the feed's line, or both, whichever lacks an address."""
        server, feed = self.parts or (self.allowed, None)
        steps = []
        if lacking := _lacking_networks(server, addresses):
            steps.append(f"start the server with TIDEMILL_SOURCE_ALLOW={','.join(map(str, (*server, *lacking)))}")
        if feed is not None and (lacking := _lacking_networks(feed, addresses)):
            line = ", ".join(f'"{network}"' for network in (*feed, *lacking))
            steps.append(f"write allow = [{line}] in [source] of the feed")
        return " and ".join(steps)


def parse_network(text: str) -> Network:
    """The network of a text in CIDR notation; an address is a network of one. Raises ValueError with a sentence."""
    try:
        network = ip_network(text)
    except ValueError:
        try:
            meant = ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"'{text}' is not a network: write it as in 10.1.0.0/16 or fd12:3456::/32") from None
        raise ValueError(f"'{text}' names an address inside a network: write {meant} for the network") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _plain(address: str | Address) -> Address:
    """An address without its scope (`%eth0`), and without the IPv6 spelling of IPv4. Raises ValueError."""
    parsed = ip_address(address) if isinstance(address, str) else address
    if isinstance(parsed, IPv4Address):
        return parsed
    return parsed.ipv4_mapped or IPv6Address(int(parsed))


def _carried(address: Address) -> tuple[IPv6Network | None, tuple[IPv4Address, ...]]:
    """The network of a translator or tunnel that an address belongs to, and the IPv4 addresses it carries there."""
    if isinstance(address, IPv6Address) and int(address) > 1:  # :: and ::1 carry nothing
        for network, unpack in _CARRIERS:
            if address in network:
                return network, unpack(address)
    return None, ()


def _special_kind(address: Address) -> str | None:
    """The kind of an address that is not public, in words; None for a public address."""
    for network, what in _KINDS:
        if address in network:
            return what
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return "a reserved address"
    return None if address.is_global else "not a public address"


def _names_carrier(network: Network, carrier: IPv6Network | None) -> bool:
    """Whether a network may allow an address of this carrier: it is part of the carrier, or there is none."""
    return carrier is None or (network.version == 6 and network.subnet_of(carrier))


def _is_inside(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _lacking_networks(networks: tuple[Network, ...], addresses: Iterable[str | Address]) -> list[Network]:
    """A network for each of the addresses that `networks` do not allow."""
    policy = AddressPolicy(networks)
    return list(dict.fromkeys(ip_network(_plain(network)) for network in addresses if policy.refusal(network)))
