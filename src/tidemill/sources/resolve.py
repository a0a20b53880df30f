"""A host's addresses that may be connected to: looked up once, all of them checked, none looked up again.

One address that must not be reached refuses the whole name: a name that mixes them is made to deceive, or to be changed
between the look-up and the connection.
"""

import asyncio
import functools
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.wire import WireError

# Threads of their own, made when needed: the few of the event loop would all be held by as many dead name servers, and
# then the sources whose name servers answer would wait for them.
_LOOKUPS: Final = ThreadPoolExecutor(64, "resolve")


async def resolve(host: str, port: int, policy: AddressPolicy) -> list[str]:
    """The addresses of a host in the resolver's order. Raises WireError `dns`, or `address` for what policy refuses."""
    addresses = await _addresses(host, port)
    refused = [(address, why) for address in addresses if (why := policy.check(address))]
    if refused:
        address, why = refused[0]
        named = "" if why.startswith(f"{host} ") else f"{host} has the address {address}: "
        remedy = policy.remedy([address for address, _ in refused])
        raise WireError("address", f"{named}{why}, and sources may not reach it. To allow it, {remedy}.")
    return addresses


async def _addresses(host: str, port: int) -> list[str]:
    try:
        # Literals in all spellings that the system knows (0x7f.1, 2130706433): these never wait for a name server.
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
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(_scoped(entry[4]) for entry in found))


def _scoped(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    return f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else str(address[0])
