"""Cuts a payload into its records: the offsets at which each begins and ends, in one pass over the bytes.

All readers and the ledger use this module, so they agree on the index of each record. NaN, infinities, halves of
surrogate pairs and duplicate keys do not stop the cut; the strict reader reports them. A document that is not JSON from
some offset on has no records, and a fault says where.
"""

import re
from array import array
from collections.abc import Mapping
from json import JSONDecodeError
from types import MappingProxyType
from typing import Final

import msgspec

from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.joined import joined_objects
from tidemill.decode.nest import Nest
from tidemill.decode.scanner import skip_white
from tidemill.decode.strict_json import invalid_message, is_readable
from tidemill.decode.walk import DocumentWalk, EnoughError, TooManyGroupsError
from tidemill.feeds.paths import Path
from tidemill.model.payload import MAX_RECORDS

WHITE: Final = b" \t\r\n"

_NOTHING_NOTED: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType({})
_LINE: Final = re.compile(rb"[^\n]+")


class Cut(msgspec.Struct, frozen=True):
    """The records of a payload: [start, end) of each in its bytes. `listed`: the records are items of an array, or
    lines; else the payload is a single record. `nest`: the groups that they are in and what was noted around them, if
    the path has groups or something is noted. Cutting ends after one record more than a payload may hold."""

    starts: "array[int]"
    ends: "array[int]"
    listed: bool = True
    nest: Nest | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def pieces(self, body: bytes, first: int, last: int) -> list[bytes]:
        """The bytes of the records `first` to `last` (exclusive)."""
        return [body[start:end] for start, end in zip(self.starts[first:last], self.ends[first:last], strict=True)]


def cut_lines(body: bytes) -> Cut:
    """The lines of NDJSON that are not blank; of a body that is one line of several objects, the objects."""
    if (objects := joined_objects(body)) is not None:
        return Cut(array("q", [start for start, _ in objects]), array("q", [end for _, end in objects]))
    starts, ends = array("q"), array("q")
    for line in _LINE.finditer(body):
        if line[0].strip(WHITE):
            starts.append(line.start())
            ends.append(line.end())
            if len(starts) > MAX_RECORDS:
                break
    return Cut(starts, ends)


def cut_document(
    body: bytes,
    records: Path,
    max_depth: int,
    faults: FaultCollector,
    noted: Mapping[int, tuple[str, ...]] = _NOTHING_NOTED,
) -> Cut | None:
    """The records of a document (without byte order mark) at the path `records`; None with faults where it has none.
    Without a path, a document that is no array is one record, JSON or not. `noted`: the names of members to note of the
    value before a step of the path."""
    if not is_readable(body, "$", max_depth, faults):
        return None
    if not records and not is_array(body):
        return Cut(array("q", [0]), array("q", [len(body)]), listed=False)
    plain = not noted and all(isinstance(step, str) for step in records)
    nest = None if plain else Nest(records, dict(noted))
    walk = DocumentWalk(body, records, nest)
    try:
        after = walk.walk_value(skip_white(walk.text, 0), 0)
        if after < len(walk.text):
            raise JSONDecodeError("Extra data", walk.text, after)
    except EnoughError:
        return Cut(walk.starts, walk.ends, walk.listed, nest)
    except TooManyGroupsError:
        faults.add("$", "too_many_records", f"these are more groups of records than {MAX_RECORDS}; send several")
        return None
    except JSONDecodeError as error:
        faults.add("$", "invalid_json", invalid_message(error.msg, body, error.pos))
        return None
    for level_faults in walk.faults:
        if level_faults.count:
            faults.extend(level_faults)
            return None
    return Cut(walk.starts, walk.ends, walk.listed, nest)


def is_array(body: bytes) -> bool:
    """Whether a document begins as an array."""
    return body[: len(body) - len(body.lstrip(WHITE)) + 1][-1:] == b"["
