"""Resolves a host to addresses that may be connected to. The host is looked up once, and every address is checked.

A refused address refuses the whole name: a name with both allowed and refused addresses is meant to deceive, or to be
changed between the look-up and the connection.
"""

import asyncio
import functools
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.wire import WireError

# A pool of its own, whose threads are made when needed: a few dead name servers would hold all threads of the event
# loop's default pool, and sources whose name servers answer would wait for them.
_LOOKUPS: Final = ThreadPoolExecutor(64, "resolve")


async def resolve_host(host: str, port: int, policy: AddressPolicy) -> list[str]:
    """The addresses of a host in the resolver's order. Raises WireError `dns`, or `address` for what policy refuses."""
    addresses = await _addresses(host, port)
    refused = [(address, why) for address in addresses if (why := policy.refusal(address))]
    if refused:
        address, why = refused[0]
        named = "" if why.startswith(f"{host} ") else f"{host} has the address {address}: "
        remedy = policy.remedy([address for address, _ in refused])
        raise WireError("address", f"{named}{why}, and sources may not reach it. To allow it, {remedy}.")
    return addresses


async def _addresses(host: str, port: int) -> list[str]:
    try:
        # Literal addresses in all spellings that the system knows (0x7f.1, 2130706433) need no name server.
        return _lookup(host.removesuffix("."), port, socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass
    try:
        return await asyncio.get_running_loop().run_in_executor(_LOOKUPS, functools.partial(_lookup, host, port))
    except (socket.gaierror, UnicodeError) as error:
        what = error.strerror if isinstance(error, socket.gaierror) else error
        message = f"the name {host} cannot be resolved ({what}): look at source.url, and at this machine's name server"
        raise WireError("dns", message) from None


def _lookup(host: str, port: int, flags: int = 0) -> list[str]:
    """Each address once, with its scope where it has one."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(_scoped(entry[4]) for entry in entries))


def _scoped(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    return f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else str(address[0])
