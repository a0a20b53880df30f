"""The `Prefer: wait=N` header (RFC 7240): how long a client wants to wait for the outcome of its payload."""

import re
from typing import Final

_WAIT: Final = re.compile(rb"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6}(?:\.\d{1,3})?)\"?\s*(?=$|[,;])", re.IGNORECASE)


def wait_s(header: bytes | None, longest_s: float) -> float | None:
    """Seconds to wait, at most `longest_s`; null when the header asks for none (malformed ones are passed over)."""
    if header is None:
        return None
    match = _WAIT.search(header)
    return min(float(match[1]), longest_s) if match else None


def applied_header(wait: float) -> tuple[bytes, bytes]:
    """The header that says which wait was kept to."""
    return (b"preference-applied", b"wait=%g" % wait)
