"""The faults of options that several checks have: an invalid duration, a field, tag, attribute or labels that the feed
has not."""

import difflib
from collections.abc import Iterable

from tidemill.checks.check import FeedColumns
from tidemill.model.time import duration_ns


def duration_faults(option: str, text: str) -> list[tuple[str, str]]:
    """The fault of a duration, if it has one."""
    try:
        duration_ns(text)
    except ValueError as error:
        return [(option, str(error))]
    return []


def field_faults(columns: FeedColumns, field: str, option: str = "field") -> list[tuple[str, str]]:
    """The fault of naming a number field that the feed has not."""
    if columns.registers or field in columns.fields:
        return []
    return [(option, f"'{field}' is not a number field of this feed{name_hint(field, columns.fields)}")]


def tag_faults(columns: FeedColumns, tag: str, option: str = "tag") -> list[tuple[str, str]]:
    """The fault of naming a tag that the feed has not."""
    if tag in columns.tags:
        return []
    return [(option, f"'{tag}' is not a tag of this feed{name_hint(tag, columns.tags)}")]


def attribute_faults(columns: FeedColumns, attribute: str, option: str = "attribute") -> list[tuple[str, str]]:
    """The fault of naming an attribute that the feed has not."""
    if attribute in columns.attributes:
        return []
    return [(option, f"'{attribute}' is not an attribute of this feed{name_hint(attribute, columns.attributes)}")]


def label_faults(columns: FeedColumns, option: str) -> list[tuple[str, str]]:
    """The fault of looking at labels that the feed has not."""
    return [] if columns.labels else [(option, "this feed has no [labels] to look at")]


def name_hint(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or the known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    return f" (did you mean '{close[0]}'?)" if close else f" (known: {', '.join(names) or 'none'})"
