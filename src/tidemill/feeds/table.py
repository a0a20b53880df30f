"""The base of every table of a feed definition: a frozen struct that takes no unknown keys."""

import msgspec


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table: unknown keys are faults."""
