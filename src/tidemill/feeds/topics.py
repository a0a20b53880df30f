"""Templates of MQTT topics: `plant/{site}/{device}/state` is a filter to subscribe to, and the names of its levels.

A `{name}` stands for one whole level, `+` for one without a name, and `#` as the last level for any number of them.
"""

import re
from typing import Final

import msgspec

NAME: Final = "name"  # of the topic itself in a record, so of no level
_LEVEL: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_LONGEST: Final = 65_535  # bytes of a topic


class TopicTemplate(msgspec.Struct, frozen=True):
    """A compiled template: the topic filter, and the number and name of each level that has one. `open_ended`: it ends
    with `#`."""

    filter: str
    names: tuple[tuple[int, str], ...]

    def values(self, topic: str) -> dict[str, str] | None:
        """The named levels of a topic; None for a topic that the filter does not match."""
        wanted, levels = self.filter.split("/"), topic.split("/")
        if wanted[-1] == "#":
            if len(levels) < len(wanted) - 1:
                return None
            wanted = wanted[:-1]
        elif len(levels) != len(wanted):
            return None
        if any(level not in ("+", given) for level, given in zip(wanted, levels, strict=False)):
            return None
        return {name: levels[number] for number, name in self.names}


def topic_fault(text: str) -> str | None:
    """Why a text is no template; None for one."""
    if not text or len(text.encode()) > _LONGEST:
        return "a topic has 1 to 65,535 bytes"
    levels = text.split("/")
    names = []
    for number, level in enumerate(levels):
        match = _LEVEL.fullmatch(level)
        if match:
            names.append(match[1])
        elif level == "#" and number < len(levels) - 1:
            return "'#' is the last level only"
        elif level not in ("+", "#") and any(sign in level for sign in "+#{}\0"):
            return f"'{level[:40]}' is no level: a name in braces, '+', '#' at the end, or a plain text"
    if NAME in names:
        return "{name} stands for the whole topic; take another word for a level"
    return "a name stands for one level only" if len(set(names)) < len(names) else None


def topic_template(text: str) -> TopicTemplate:
    """The template of a text that `topic_fault` has no fault of."""
    levels = text.split("/")
    matches = [(number, match[1]) for number, level in enumerate(levels) if (match := _LEVEL.fullmatch(level))]
    named = dict(matches)
    return TopicTemplate(
        "/".join("+" if number in named else level for number, level in enumerate(levels)), (*matches,)
    )
