"""Fields that are not known beforehand (meters): every member of a record but the excepted ones is a number."""

from collections.abc import Sequence
from typing import Any, Final

# What an excepted member may be; anything else in a record (true, for instance) is for the strict reader.
RegisterValue = float | str | list[Any] | dict[str, Any] | None

_MAX_DISTINCT: Final = 256  # register names counted in one go; each costs a pass over the bytes
_MAX_NAME: Final = 256


def register_values(
    body: bytes, records: Sequence[dict[str, Any]], except_keys: frozenset[str]
) -> list[dict[str, float]] | None:
    """The registers of each record (null is no reading and is left out); None if a record has none, a register is not
    a number, or a name may be there twice."""
    found = []
    counts: dict[str, int] = {}
    for record in records:
        registers = {}
        for key, value in record.items():
            if key in except_keys:
                continue
            counts[key] = counts.get(key, 0) + 1
            if type(value) is float:
                registers[key] = value
            elif value is not None:
                return None
        if not registers:
            return None
        found.append(registers)
    if len(counts) > _MAX_DISTINCT or any(not 0 < len(key) <= _MAX_NAME for key in counts):
        return None
    single = all(body.count(f'"{key}"'.encode()) == count for key, count in counts.items())
    return found if single else None
