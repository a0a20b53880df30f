"""The levels above a record: what `^` in a path leads to, and which of them have a key.

Going up from a record, the list or keyed object in which it stands is passed over; what holds that, or the group of
another list that it belongs to, is a level.
"""

import msgspec

from tidemill.feeds.paths import KEY, MEMBERS, UP, WILDCARDS, Path, below, path_text


class Level(msgspec.Struct, frozen=True):
    """The value of a document that the path of records has reached before its step `step`. `keyed`: it stands under a
    key of a keyed object. `depth`: how many lists and keyed objects of groups lie above it."""

    step: int
    keyed: bool
    depth: int


def levels_above(records: Path) -> list[Level]:
    """The levels above the records at a path, innermost first."""
    reached = [n for n, step in enumerate(records) if step not in WILDCARDS or (n > 0 and records[n - 1] in WILDCARDS)]
    return [
        Level(n, n > 0 and records[n - 1] is MEMBERS, sum(step in WILDCARDS for step in records[:n]))
        for n in reversed(reached)
    ]


def reach_fault(path: Path, records: Path) -> str | None:
    """Why a path of a member can lead nowhere from the records at `records`, or None."""
    ups, rest, levels = path.count(UP), below(path), levels_above(records)
    if any(step in WILDCARDS for step in path):
        return "[*] and .* are for [input] records; a member is named by its key or its item, such as $[1]"
    if ups > len(levels):
        most = {0: "is nothing", 1: "is only 1 level ('^')"}.get(len(levels), f"are only {len(levels)} levels ('^')")
        return f"above the records at {path_text(records)} there {most}"
    if rest == (KEY,):
        if levels[ups - 1].keyed if ups else records[-1:] == (MEMBERS,):
            return None
        what = "what is above does" if ups else "the records do"
        return f"{what} not stand under keys; [input] records = '$.days.*' gives the members of an object as records"
    if not ups:
        return None
    step = records[levels[ups - 1].step]
    if not isinstance(step, str):
        return "what is there above is a list or a keyed object; only its key can be read, $^~"
    if not isinstance(rest[0], str):
        return f"what is there above is an object, which holds '{step}'; name a member of it"
    return f"'{step}' holds the records themselves; name another member" if rest[0] == step else None
