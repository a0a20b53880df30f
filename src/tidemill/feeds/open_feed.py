"""The definition that the service makes of an open feed at its first payload. It is a version like any other: it can
be read, changed (rules, rollups, retention), and payloads name it."""

from typing import Final

from tidemill.feeds.formats import OPEN_FORMATS

_TEXT: Final = """# Made by the service at the first payload of this open feed. Apply a changed version to add
# rules, rollups or retention. How names and tags become series: docs/how-to/open-feeds.md.
name = "{name}"
title = "Open feed: names, tags and fields come with the data"

[input]
open = true
formats = [{formats}]
on_fault = "reject"
not_exact = "flag" # an integer beyond 2^53 is kept as the nearest double, and marked

[time]
path = "$.time"
format = "rfc3339"

[registers]
"""


def open_feed_text(name: str) -> str:
    """The text of the first version of an open feed."""
    return _TEXT.format(name=name, formats=", ".join(f'"{known}"' for known in OPEN_FORMATS))
