"""Plug-ins: decoders, rules and sources of other packages, loaded by their entry points.

A package names them in its metadata, for instance `[project.entry-points."tidemill.rules"]` with
`dew_point = "their_package:DewPoint"`. A plug-in cannot replace a name of Tidemill's own. A plug-in that cannot be
loaded is logged and skipped: a feed that needs it is refused with a sentence, and no other feed is affected.
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
    """The plug-ins of installed packages in a group, by name; loaded once a process."""
    loaded: dict[str, Any] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        try:
            loaded.setdefault(entry.name, entry.load())
        except Exception as error:  # a plug-in may raise anything
            log.error("the plug-in %s (%s) cannot be loaded: %s: %s", entry.name, group, type(error).__name__, error)
    return loaded
