"""Reads the recorder database of Home Assistant (SQLite), which it opens read-only, also while Home Assistant runs.

Each state that is a number becomes a record `{"entity_id", "state", "time", "unit"}`: the state as its text, the time
of its last update in Unix seconds. `unavailable` and `unknown` come with the state null. States that are other texts
(`on`, `home`) are passed over, and so is what long-term statistics say of states that were purged.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tidemill.client.files.chunks import FileChunk, FileRecord, gathered
from tidemill.client.files.inputs import InputFile
from tidemill.errors import InputError

_NUMBER: Final = re.compile(r"[+-]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+")
_LONGEST: Final = 100  # characters of a state that may be a number; Home Assistant takes 255 of any state
_NOTHING: Final = ("unavailable", "unknown")
_UNIT: Final = re.compile(r'"unit_of_measurement":\s*+("(?:[^"\\]++|\\.)*+")')
# Since 2023.4 names and attributes are in tables of their own; before, both stood in each row.
_SPLIT: Final = """
select s.state_id, m.entity_id, s.state, s.last_updated_ts, a.shared_attrs
from states s join states_meta m on m.metadata_id = s.metadata_id
left join state_attributes a on a.attributes_id = s.attributes_id
where s.state_id > ? order by s.state_id limit ?
"""
_PLAIN: Final = """
select state_id, entity_id, state, last_updated, attributes from states where state_id > ? order by state_id limit ?
"""
_ROWS: Final = 10_000


def read_home_assistant(file: InputFile) -> Iterator[FileChunk]:
    """Chunks of states as NDJSON, in the order of their ids. Raises InputError for another database."""
    path = file.path or Path()
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=30, check_same_thread=False)) as database:
            query, last = _query(database)
            yield from gathered(_records(database, query), unit="state", total=last)
    except sqlite3.Error as error:
        raise InputError(f"it is no database of Home Assistant that can be read ({error})") from None


def _query(database: sqlite3.Connection) -> tuple[str, int]:
    """The query for the states of this database, and the id of the newest one. Raises InputError."""
    columns = {row[1] for row in database.execute("pragma table_info(states)")}
    if not {"state_id", "state"} <= columns:
        raise InputError("it is SQLite, but has no table of states: Home Assistant's is home-assistant_v2.db")
    last = database.execute("select max(state_id) from states").fetchone()[0] or 0
    if "metadata_id" in columns and database.execute("pragma table_info(states_meta)").fetchone():
        return _SPLIT, last
    return _PLAIN, last


def _records(database: sqlite3.Connection, query: str) -> Iterator[FileRecord]:
    last = 0
    while rows := database.execute(query, (last, _ROWS)).fetchall():
        for state_id, entity, state, time, attributes in rows:
            last = state_id
            record = _record(entity, state, time, attributes)
            if record is not None:
                yield FileRecord(msgspec.json.encode(record), last, last)


def _record(entity: str, state: str | None, time: Any, attributes: str | None) -> dict[str, Any] | None:
    """The record of a state; None for a state that is no number."""
    nothing = state in _NOTHING
    if state is None or not (nothing or (len(state) <= _LONGEST and _NUMBER.fullmatch(state))):
        return None
    return {
        "entity_id": entity,
        "state": None if nothing else state,
        "time": time,
        "unit": _unit(attributes or "", entity),
    }


def _unit(attributes: str, entity: str) -> str | None:
    """The unit in the attributes of a state, or None. Raises InputError for one that is no JSON text."""
    unit = _UNIT.search(attributes)
    try:
        return msgspec.json.decode(unit[1], type=str) if unit else None
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InputError(f"the unit of {entity} is no JSON text ({error}): {unit and unit[1][:80]}") from None
