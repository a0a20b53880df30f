"""Faults that several checks' options can have: a duration that is none, a field or text that the feed has not."""

from tidemill.checks.check import Columns
from tidemill.model.time import duration_ns


def duration_faults(option: str, text: str) -> list[tuple[str, str]]:
    """The fault of a duration, if it has one."""
    try:
        duration_ns(text)
    except ValueError as error:
        return [(option, str(error))]
    return []


def field_faults(columns: Columns, field: str, option: str = "field") -> list[tuple[str, str]]:
    """The fault of naming a number field that the feed has not."""
    if columns.registers or field in columns.fields:
        return []
    known = ", ".join(columns.fields) or "none"
    return [(option, f"'{field}' is not a number field of this feed (known: {known})")]
