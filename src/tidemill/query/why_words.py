"""Sentences of a story: why a record was rejected, how many rules it passed, how a published value changed."""

from collections.abc import Sequence

from tidemill.query.point_changes import Change
from tidemill.query.words import number
from tidemill.rules.reasons import REASONS


def reasons_told(reasons: Sequence[str], detail: str) -> str:
    """Reason codes, each with what the ledger says of it, else with what it means in general."""
    said, untold = detail.strip().rstrip("."), []
    for code in reasons:
        meaning = REASONS.get(code, "a reason that the feed names").rstrip(".")
        if meaning in said and f"{code}: " not in said:
            said = said.replace(meaning, f"{code}: {meaning}", 1)
        elif f"{code}: " not in said:
            untold.append(f"{code}: {meaning}")
    return "; ".join([*untold, *([said] if said else [])]) + "."


def rules_passed(count: int) -> str:
    """`the rule`, `the 3 rules`."""
    return "the rule" if count == 1 else f"the {count} rules"


def change_told(what: str, change: Change) -> str:
    """One change of `what` as a sentence. A value that was deleted is withheld, which is not the same as none."""
    if change.why == "deleted":
        after = f"is {number(change.new)} since then" if change.new is not None else "there is none since then"
        return f"{what} changed by a deletion: what it was is withheld, as it was deleted; {after}."
    by = f"by replay {change.replay}" if change.replay else f"({change.why})"
    return f"{what} changed from {number(change.old)} to {number(change.new)} {by}."
