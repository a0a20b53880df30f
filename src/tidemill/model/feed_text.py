"""A feed definition as the catalog keeps it: its TOML text, verbatim, and its version. `feeds/load.py` parses it."""

import msgspec


class FeedText(msgspec.Struct, frozen=True):
    """One version of a tenant's feed. Versions count from 1 and never change; `sha256` is of the text's UTF-8 bytes,
    in hexadecimal. `created_ns` is ns since the epoch, UTC."""

    name: str
    version: int
    text: str
    sha256: str
    created_ns: int
