"""A feed definition as it is kept: its TOML text, word for word, and its version. `feeds/load.py` makes sense of it."""

import msgspec


class FeedText(msgspec.Struct, frozen=True):
    """One version of a tenant's feed. Versions count from 1 and never change; `sha256` is of the text's UTF-8 bytes,
    in hexadecimal. `created_ns` is ns since the epoch, UTC."""

    name: str
    version: int
    text: str
    sha256: str
    created_ns: int
