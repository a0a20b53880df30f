"""The `Prefer: wait=N` header (RFC 7240): how long a client wants to wait for an outcome."""

import re
from typing import Final

_WAIT: Final = re.compile(rb"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6}(?:\.\d{1,3})?)\"?\s*(?=$|[,;])", re.IGNORECASE)


def preferred_wait_s(header: bytes | str | None, longest_s: float) -> float | None:
    """The seconds to wait, at most `longest_s`; null when the header names none (a malformed one is ignored)."""
    if header is None:
        return None
    match = _WAIT.search(header.encode() if isinstance(header, str) else header)
    return min(float(match[1]), longest_s) if match else None


def applied_header(wait_s: float) -> tuple[bytes, bytes]:
    """The `Preference-Applied` header of an answer that waited."""
    return (b"preference-applied", b"wait=%g" % wait_s)


def location_headers(location: str, wait_s: float | None) -> dict[str, str]:
    """The headers of an answer to a request that made something at `location`, after the preferred wait, if any."""
    headers = {"Location": location}
    if wait_s is not None:
        name, value = applied_header(wait_s)
        headers[name.decode()] = value.decode()
    return headers
