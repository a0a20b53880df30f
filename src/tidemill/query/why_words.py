"""Phrases of a story: values, records, the reasons of a rejection, the change of a published value."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidemill.query.point_changes import PublishedChange
from tidemill.rules.reasons import REASONS


def value_text(value: float | None) -> str:
    """The shortest exact form of a value; `no value` for a missing one."""
    return "no value" if value is None else msgspec.json.encode(value).decode().removesuffix(".0")


def record_text(facts: Mapping[str, Any] | None, index: int) -> str:
    """`record 3 of payload ID`; `facts` None: the store does not have the payload any more."""
    return f"record {index} of payload {facts['receipt']}" if facts else f"record {index} of a payload that is gone"


def null_text(row: Mapping[str, Any], field: str | None) -> str:
    """A clause about a record without a value; `field`: that of the series, where the row does not name it."""
    return f"its value of '{row.get('field') or field}' was null or absent"


def capitalize(text: str) -> str:
    """The text with a capital first letter and the rest unchanged."""
    return text[:1].upper() + text[1:]


def reasons_text(reasons: Sequence[str], detail: str) -> str:
    """Each reason code with its explanation: that of the ledger's `detail`, else the general meaning of the code."""
    explained, general = detail.strip().rstrip("."), []
    for code in reasons:
        meaning = REASONS.get(code, "a reason that the feed names").rstrip(".")
        if meaning in explained and f"{code}: " not in explained:
            explained = explained.replace(meaning, f"{code}: {meaning}", 1)
        elif f"{code}: " not in explained:
            general.append(f"{code}: {meaning}")
    return "; ".join([*general, *([explained] if explained else [])]) + "."


def rules_text(count: int) -> str:
    """`the rule`, `the 3 rules`."""
    return "the rule" if count == 1 else f"the {count} rules"


def change_text(what: str, change: PublishedChange) -> str:
    """A sentence about one change of `what`. It withholds a deleted value and does not call it missing."""
    if change.why == "deleted":
        after = f"is {value_text(change.new)} since then" if change.new is not None else "there is none since then"
        return f"{what} changed by a deletion: what it was is withheld, as it was deleted; {after}."
    by = f"by replay {change.replay}" if change.replay else f"({change.why})"
    return f"{what} changed from {value_text(change.old)} to {value_text(change.new)} {by}."
