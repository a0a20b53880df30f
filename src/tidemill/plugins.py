"""What other packages bring: decoders, rules and sources, found by their entry points.

A package names them in its metadata, for instance `[project.entry-points."tidemill.rules"]` with
`dew_point = "their_package:DewPoint"`. A name that is ours already cannot be taken over. One that cannot be loaded is
reported and passed over: a feed that needs it is refused with a sentence, and nothing else suffers.
"""

import logging
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final

log = logging.getLogger(__name__)

RULES: Final = "tidemill.rules"
DECODERS: Final = "tidemill.decoders"
SOURCES: Final = "tidemill.sources"


@cache
def load_plugins(group: str) -> dict[str, Any]:
    """What installed packages offer in a group, by name; read once a process."""
    found: dict[str, Any] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        try:
            found.setdefault(entry.name, entry.load())
        except Exception as error:  # whatever it is: it is theirs
            log.error("the plug-in %s (%s) cannot be loaded: %s: %s", entry.name, group, type(error).__name__, error)
    return found
