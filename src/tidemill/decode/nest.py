"""Where cut records stand: the groups that they are in, their keys, and what was noted around them.

All of it is columns of offsets: a payload may have a million groups. A node is a group at one depth: an item of a list,
or a member of a keyed object, that holds records. At depth 0 there is one node, the document.
"""

import json
from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill.decode.fault_collector import LONGEST, FaultCollector
from tidemill.feeds.levels import Level
from tidemill.feeds.paths import MEMBERS, WILDCARDS, Path, member_path, step_text

ALONE: Final = -1  # the place of a record that is in no list
BROKEN: Final = -2  # the place of what stands for a group without records, which has a fault
_KEPT_FAULTS: Final = 10  # of a group

_DOUBLED: Final = "its key is there twice"

NodeFault = tuple[str, str, str]  # what follows the path of the node, code, message


class Places:
    """The places of groups (or of records) in the lists and keyed objects that hold them: for each the node above, and
    the index in the list, or the offset of its key in the payload."""

    def __init__(self) -> None:
        self.parents, self.places = array("q"), array("q")

    def __len__(self) -> int:
        return len(self.places)

    def add(self, parent: int, slot: int) -> None:
        """Add one."""
        self.parents.append(parent)
        self.places.append(slot)

    def add_list(self, parent: int, count: int) -> None:
        """Add all items of a list."""
        self.parents.extend([parent] * count)
        self.places.extend(range(count))

    def drop_last(self) -> None:
        """Take the last one back."""
        self.parents.pop()
        self.places.pop()


class Nest:
    """The groups of a payload's records. `records` are the places of the records, `nodes[d]` those of the groups at
    depth d + 1; `noted[step][name]` are the offsets [start, end) of members of the value before a step of the path, two
    numbers for each node (-1: it has no such member); `faults[d]` of nodes at depth d."""

    def __init__(self, path: Path, noted: dict[int, tuple[str, ...]]) -> None:
        self.path = path
        self.wildcards = [n for n, step in enumerate(path) if step in WILDCARDS]
        ends = bool(path) and path[-1] in WILDCARDS
        self.depth = len(self.wildcards) - ends  # of the groups that hold records
        self.records = Places()
        self.doubled = bytearray()  # of records in keyed objects: whether the key is there twice
        self.nodes = [Places() for _ in range(self.depth)]
        self.faults: list[dict[int, tuple[NodeFault, ...]]] = [{} for _ in range(self.depth + 1)]
        self._tails = [""]  # of the path before each step, from the group that it lies in
        for step in path:
            self._tails.append("" if step in WILDCARDS else self._tails[-1] + step_text(step))
        self._known_parent, self._chain = -1, [0]  # of the last record that was looked at
        self._known_paths: list[str] = []
        self.noted = {step: {name: array("q") for name in names} for step, names in noted.items()}

    def begin_node(self, depth: int, parent: int, slot: int) -> int:
        """Add a group at a depth; returns its number."""
        self.nodes[depth - 1].add(parent, slot)
        return len(self.nodes[depth - 1]) - 1

    def drop_node(self, depth: int) -> None:
        """Take the last group of a depth back, since it has no record and no fault."""
        self.nodes[depth - 1].drop_last()
        count = 2 * len(self.nodes[depth - 1])
        for step, members in self.noted.items():
            if self._depth_of(step) == depth:
                for offsets in members.values():
                    del offsets[count:]

    def note(self, step: int, name: str, node: int, start: int, end: int) -> bool:
        """Note a member of the value before a step, of which `node` is the group; False if it was noted before."""
        offsets = self.noted[step][name]
        if len(offsets) > 2 * node:
            return False
        self._fill(offsets, node)
        offsets.extend((start, end))
        return True

    def break_below(self, depth: int, node: int) -> None:
        """Add what stands for a group without records: a record, with groups below to hold it."""
        for below in range(depth + 1, self.depth + 1):
            node = self.begin_node(below, node, BROKEN)
        self.records.add(node, BROKEN)
        if self.path[-1] is MEMBERS:
            self.doubled.append(False)

    def is_broken(self, record: int) -> bool:
        """Whether this stands for a group without records."""
        return self.records.places[record] == BROKEN

    def add_double(self, depth: int, node: int) -> None:
        """Add the fault of a group whose key is there twice."""
        self.add_fault(depth, node, "", "duplicate_key", _DOUBLED)

    def add_fault(self, depth: int, node: int, suffix: str, code: str, message: str) -> None:
        """Add a fault of a group: what follows its path, code, message."""
        known = self.faults[depth].get(node, ())
        if len(known) < _KEPT_FAULTS:
            self.faults[depth][node] = known + _single(suffix[:LONGEST], code, message)

    def add_fault_above(self, body: bytes, record: int, path: str, code: str, message: str) -> None:
        """Add a fault at a path in or around a record to the innermost group above the record that the path is in."""
        paths, groups = self._paths(body, record), self._above(self.records.parents[record])
        depth = max(n for n in range(len(groups)) if _is_within(path, paths[n]))
        fault = (path[len(paths[depth]) :], code, message)
        if fault not in self.faults[depth].get(groups[depth], ()):
            self.add_fault(depth, groups[depth], *fault)

    def group_of(self, record: int, level: Level) -> int:
        """The number of the group at a level that holds a record."""
        return self._above(self.records.parents[record])[level.depth]

    def rows_at(self, depth: int, first: int, last: int) -> NDArray[np.int64]:
        """For each of the records [first, last) the number of its group at a depth."""
        if depth == 0:
            return np.zeros(last - first, np.int64)
        rows = np.array(self.records.parents[first:last], np.int64)
        for places in reversed(self.nodes[depth:]):
            rows = np.frombuffer(places.parents, np.int64)[rows]
        return rows

    def at_fault(self, first: int, last: int) -> bool:
        """Whether any of the records [first, last) is certainly at fault, by itself or by a group that holds it."""
        if any(self.doubled[first:last]) or BROKEN in self.records.places[first:last]:
            return True
        return any(
            not faults.keys().isdisjoint(self.rows_at(depth, first, last).tolist())
            for depth, faults in enumerate(self.faults)
            if faults
        )

    def record_path(self, body: bytes, record: int) -> str:
        """The path of a record, or of the group that it stands for."""
        text, place = self._paths(body, record)[-1], self.records.places[record]
        if place < 0:
            return text
        return member_path(text, key_text(body, place)) if self.path[-1] is MEMBERS else f"{text}[{place}]"

    def level_path(self, body: bytes, record: int, level: Level) -> str:
        """The path of a level above a record."""
        return self._paths(body, record)[level.depth] + self._tails[level.step]

    def add_faults(self, body: bytes, record: int, faults: FaultCollector) -> None:
        """Add the faults of all groups that hold a record, and that of its own key."""
        self.add_group_faults(body, record, faults)
        if self.doubled and self.doubled[record]:
            faults.add(self.record_path(body, record), "duplicate_key", _DOUBLED)

    def add_group_faults(self, body: bytes, record: int, faults: FaultCollector) -> None:
        """Add the faults of all groups that hold a record."""
        if any(self.faults):
            paths = self._paths(body, record)
            for depth, node in enumerate(self._above(self.records.parents[record])):
                for suffix, code, message in self.faults[depth].get(node, ()):
                    faults.add(paths[depth] + suffix, code, message)

    def keys(self, body: bytes, record: int) -> bytes:
        """The keys under which a record and its groups stand, as written; b"" where there are only lists."""
        above = [*zip(self.nodes, self._above(self.records.parents[record])[1:], strict=True), (self.records, record)]
        keyed = [above[number] for number, step in enumerate(self.wildcards) if self.path[step] is MEMBERS]
        return b"".join(key_at(body, places.places[number]) for places, number in keyed if places.places[number] >= 0)

    def level_pieces(
        self, body: bytes, step: int, names: tuple[str, ...], first: int = 0, last: int | None = None
    ) -> Iterator[bytes]:
        """For each of the groups [first, last) of a level an object with the members of these names, as they were
        sent."""
        count = self.nodes_at(self._depth_of(step))
        columns = []
        for name in names:
            self._fill(self.noted[step][name], count)
            columns.append((json.dumps(name, ensure_ascii=False).encode() + b":", self.noted[step][name]))
        for node in range(first, count if last is None else last):
            at = 2 * node
            members = [key + body[offsets[at] : offsets[at + 1]] for key, offsets in columns if offsets[at] >= 0]
            yield b"{%b}" % b",".join(members)

    def key_pieces(self, body: bytes, depth: int, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """For each of the groups [first, last) of a depth, or of the records (`depth` beyond that of groups), an object
        with its key as the member `~`."""
        places = (self.records if depth > self.depth else self.nodes[depth - 1]).places
        for at in places[first:last]:
            yield b'{"~":%b}' % (key_at(body, at) if at >= 0 else b"null")

    def sizes(self, step: int, name: str) -> NDArray[np.int64]:
        """For each group of a level the bytes of a member."""
        offsets = self.noted[step][name]
        self._fill(offsets, self.nodes_at(self._depth_of(step)))
        pairs = np.array(offsets, np.int64).reshape(-1, 2)
        return pairs[:, 1] - pairs[:, 0]

    def nodes_at(self, depth: int) -> int:
        """How many groups there are at a depth."""
        return len(self.nodes[depth - 1]) if depth else 1

    def _depth_of(self, step: int) -> int:
        return sum(n < step for n in self.wildcards)

    def _fill(self, offsets: "array[int]", node: int) -> None:
        """Note that nodes up to `node` have no such member."""
        missing = 2 * node - len(offsets)
        if missing > 0:
            offsets.extend([-1] * missing)

    def _above(self, parent: int) -> list[int]:
        """The numbers of the groups that hold the records of a group, by depth from 0."""
        if parent != self._known_parent:
            chain, node = [], parent
            for places in reversed(self.nodes):
                chain.append(node)
                node = places.parents[node]
            self._known_parent, self._chain, self._known_paths = parent, [0, *reversed(chain)], []
        return self._chain

    def _paths(self, body: bytes, record: int) -> list[str]:
        """The paths of the groups that hold a record, by depth from 0, and last that of what holds the record itself.
        For what stands for a group they end with that."""
        chain = self._above(self.records.parents[record])
        if not self._known_paths:
            text, paths = "$", ["$"]
            for depth, step in enumerate(self.wildcards[: self.depth]):
                text += self._tails[step]
                place = self.nodes[depth].places[chain[depth + 1]]
                if place == BROKEN:
                    break
                text = member_path(text, key_text(body, place)) if self.path[step] is MEMBERS else f"{text}[{place}]"
                paths.append(text)
            else:
                text += self._tails[len(self.path) - 1 if self.path[-1] in WILDCARDS else len(self.path)]
            self._known_paths = [*paths, text]
        return self._known_paths


def _is_within(path: str, outer: str) -> bool:
    rest = path.removeprefix(outer)
    return path.startswith(outer) and rest[:1] in ("", ".", "[", "~")


@lru_cache(maxsize=1024)
def _single(*fault: str) -> tuple[NodeFault, ...]:
    """A fault as a tuple that all groups with this fault share."""
    suffix, code, message = fault
    return ((suffix, code, message),)


def key_at(body: bytes, start: int) -> bytes:
    """The JSON text that begins at the quote at `start`, with its quotes."""
    end = start
    while True:
        end = body.index(b'"', end + 1)
        before = end
        while body[before - 1 : before] == b"\\":
            before -= 1
        if (end - before) % 2 == 0:
            return body[start : end + 1]


def key_text(body: bytes, start: int) -> str:
    """The key whose quote is at `start`."""
    return str(json.loads(key_at(body, start)))
