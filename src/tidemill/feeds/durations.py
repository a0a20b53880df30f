"""Durations in feed definitions: one check for all of them."""

from collections.abc import Iterator

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.key_lines import Key
from tidemill.model.time import duration_ns


def duration_findings(key: Key, text: str, *, whole_seconds: bool = False) -> Iterator[DefinitionFault]:
    """The fault of a duration at `key`, if it has one."""
    try:
        length = duration_ns(text)
    except ValueError as error:
        yield DefinitionFault(key, "bad_duration", str(error))
        return
    if whole_seconds and length % 1_000_000_000:
        yield DefinitionFault(key, "bad_duration", f"'{text}' must be whole seconds")
