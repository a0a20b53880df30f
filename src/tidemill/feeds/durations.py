"""Validates durations and rates in feed definitions."""

from collections.abc import Iterator

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.key_lines import Key
from tidemill.model.time import duration_ns


def requests_per_second(text: str) -> float:
    """`60/1h` -> 1/60: the highest average rate of requests. Raises ValueError with a sentence."""
    count, slash, period = text.partition("/")
    if not (slash and count.strip().isascii() and count.strip().isdigit() and int(count) > 0):
        raise ValueError(f"'{text[:40]}' is no rate: write requests and a duration, such as 60/1h")
    return int(count) * 1_000_000_000 / duration_ns(period.strip())


def duration_faults(key: Key, text: str, *, whole_seconds: bool = False) -> Iterator[DefinitionFault]:
    """The fault of a duration at `key`, if it has one."""
    try:
        length = duration_ns(text)
    except ValueError as error:
        yield DefinitionFault(key, "bad_duration", str(error))
        return
    if whole_seconds and length % 1_000_000_000:
        yield DefinitionFault(key, "bad_duration", f"'{text}' must be whole seconds")
