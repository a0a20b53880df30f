"""A feed definition as the catalog keeps it: its TOML text, verbatim, and its version. `feeds/load.py` parses it. The
removal of a feed, and the difference between two versions."""

from typing import Any, Literal

import msgspec


class FeedRemoval(msgspec.Struct, frozen=True):
    """That a feed was removed, with all its versions up to `version`. `data`: what became of its data then."""

    version: int
    removed_ns: int
    data: Literal["keep", "delete"]


class FeedText(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a tenant's feed. Versions count from 1 and never change; `sha256` is of the text's UTF-8 bytes,
    in hexadecimal. `created_ns` is ns since the epoch, UTC. `removal`: the feed is removed, and has no version in force
    (it is not stored with the version)."""

    name: str
    version: int
    text: str
    sha256: str
    created_ns: int
    removal: FeedRemoval | None = None


class DefinitionChange(msgspec.Struct, frozen=True):
    """One difference. `path`: `rules[2].options.max_age`; the index of a removed rule is its old one, else the new one.

    `old` and `new` are null where there was or is no value; of a moved rule they are its indexes. `hidden`: this reader
    may not see the values."""

    path: str
    change: Literal["added", "removed", "changed", "moved"]
    old: Any = None
    new: Any = None
    hidden: bool = False
