"""What a request says of the records of an open feed beside its body. It travels in the payload's format
(`line_protocol;precision=ms`), so that a replay reads the same bytes in the same way."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from tidemill.errors import Fault, InputError

PRECISIONS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
MAX_OPTION: Final = 1024  # characters of an option


class OpenOptions(msgspec.Struct, frozen=True):
    """`precision`: the unit of times that are numbers (ns, us, ms, s, m, h); `name`: the name of records without one,
    empty: they have none; `time`, `tags`, `separator`, `decimal`: of tables, the column of times, the columns of tags,
    and how CSV is written."""

    precision: str = "ns"
    name: str = ""
    time: str = "time"
    tags: str = ""
    separator: str = ","
    decimal: str = "."

    @property
    def unit_ns(self) -> int:
        """Nanoseconds of a unit of time."""
        return PRECISIONS[self.precision]

    @property
    def tag_columns(self) -> tuple[str, ...]:
        """The columns of tags that are named."""
        return tuple(filter(None, self.tags.split(",")))

    def variables(self) -> dict[str, str]:
        """The options that differ from the defaults, as they go into a format."""
        return {
            name: getattr(self, name)
            for name in self.__struct_fields__
            if getattr(self, name) != getattr(DEFAULTS, name)
        }


AUTO: Final = "auto"  # the precision of a request whose first time says it, by its size
_FIRST_TIME: Final = re.compile(rb" (-?[0-9]{1,19}) *\r?(?:\n|$)")
DEFAULTS: Final = OpenOptions()
_CHOICES: Final = {"precision": tuple(PRECISIONS), "separator": (",", ";", "\t", "|"), "decimal": (".", ",")}


def parse_options(given: Mapping[str, str]) -> OpenOptions:
    """The options of a request's parameters. Raises InputError that names each at fault."""
    faults = []
    for name, value in given.items():
        if name not in OpenOptions.__struct_fields__:
            known = ", ".join(OpenOptions.__struct_fields__)
            faults.append(Fault(f"$query.{name[:60]}", "unknown_key", f"there is no such parameter; there are {known}"))
        elif name in _CHOICES and value not in _CHOICES[name]:
            choices = ", ".join(map(repr, _CHOICES[name]))
            faults.append(Fault(f"$query.{name}", "invalid_value", f"must be one of {choices}"))
        elif len(value) > MAX_OPTION or (name != "separator" and not value.isprintable()):
            faults.append(Fault(f"$query.{name}", "too_long", f"must be printable and at most {MAX_OPTION} characters"))
    if not faults and given.get("separator", ",") == "," and given.get("decimal") == ",":
        faults.append(Fault("$query.decimal", "conflict", "a decimal comma needs another separator, such as ;"))
    tags = [name for name in given.get("tags", "").split(",") if name]
    if len(set(tags)) < len(tags) or ("name" in tags and not given.get("name")):
        message = "a column is named twice, or is 'name', which has the records' names and is no tag; leave it out"
        faults.append(Fault("$query.tags", "conflict", message))
    if faults:
        raise InputError(
            "The query cannot be read: " + "; ".join(f"{f.path}: {f.message}" for f in faults), tuple(faults)
        )
    return OpenOptions(**given)


def stored_options(variables: Mapping[str, str]) -> OpenOptions:
    """The options in a stored format."""
    return OpenOptions(**{name: value for name, value in variables.items() if name in OpenOptions.__struct_fields__})


def settled_precision(precision: str, body: bytes) -> str:
    """The unit of times: `auto` is that of the first time by its size, as InfluxDB 3 has it."""
    if precision != AUTO:
        return precision
    match = _FIRST_TIME.search(body)
    size = abs(int(match[1])) if match else 1 << 62
    return next((unit for unit, most in (("s", 5e9), ("ms", 5e12), ("us", 5e15)) if size < most), "ns")
