"""Recognises long format in the records of an answer: each record names what it has the value of."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tidemill.sources.structure import AnswerMember

_NAME: Final = re.compile(
    r"(channel|name|key|parameter|param|metric|measure|measurement|measurand|quantity|variable|register|obis|value_?type)",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(r"(value|val|v|reading)", re.IGNORECASE)
_LONGEST: Final = 256  # characters of the name of a field


def long_format(members: Sequence["AnswerMember"], rows: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """The paths of name and value, where the only number of the records is called a value and a text that every record
    has is called a name; None for other records."""
    values = [member for member in members if member.role == "value"]
    names = [member for member in members if _NAME.fullmatch(member.name) and isinstance(member.example, str)]
    if len(values) != 1 or not names or not _VALUE.fullmatch(values[0].name):
        return None
    name = names[0]
    if not name.required or name.role not in ("tag", "unused") or name.path != f"$.{name.name}":
        return None
    known = {row.get(name.name) for row in rows}
    if len(known) < 2 or not all(isinstance(text, str) and 0 < len(text) <= _LONGEST for text in known):
        return None
    return name.path, values[0].path
