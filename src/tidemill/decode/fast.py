"""The fast reader: typed decoding by msgspec into structs compiled for a feed, many documents in one call.

It takes records only when they are without any fault and hands back None otherwise, never saying why: that is for the
strict reader (`strict.py`). What msgspec would take silently is caught by counting: every key that is read must occur
in the bytes exactly as often as records have it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from tidemill.decode.compile import compile_getter, compile_struct, key_tokens, required_brackets
from tidemill.decode.documents import Documents
from tidemill.decode.plan import DecodePlan
from tidemill.decode.registers import RegisterValue, register_values
from tidemill.decode.scan import is_plain
from tidemill.decode.time_formats import TIME_KINDS, offset_column, with_offsets
from tidemill.decode.times import LocalTimes, in_range
from tidemill.decode.values import packed_column, scaled_column


class DecodedColumns(msgspec.Struct, frozen=True):
    """Records without fault, column by column: `walls` for the time, `values` in the plan's order (the time's own
    entry is empty), `registers` a mapping for each record where the feed has registers."""

    count: int
    walls: LocalTimes
    values: list[list[Any]]
    registers: list[dict[str, float]] | None = None


class FastReader:
    """Reads the records of some payloads at once; None means: ask the strict reader."""

    def __init__(self, plan: DecodePlan, max_depth: int) -> None:
        self._plan = plan
        self._max_depth = max_depth
        self._documents = Documents(compile_struct(plan, certain_time=False), plan.records)
        self._registers = Documents(dict[str, RegisterValue], plan.records) if plan.except_keys is not None else None
        self._getters = [compile_getter(plan, column) for column in plan.columns]
        self._tokens = key_tokens(plan)
        self._brackets = required_brackets(plan)
        self._any_escape = plan.except_keys is not None or any(
            "/" in key or not key.isascii() for key in plan.root.every_key()
        )

    def read(self, bodies: Sequence[bytes], *, lines: bool) -> tuple[DecodedColumns, list[int]] | None:
        """Payloads of one format (`lines`: NDJSON), stripped of outer white space -> their records as columns, and how
        many each had; None if anything about any of them is not certain."""
        found = self._documents.records(bodies, lines=lines)
        if found is None:
            return None
        joined, records, counts = found
        around = (len(bodies) - 1) * self._documents.brackets(bodies, lines=lines)
        columns = self._columns(joined, records, around)
        if columns is None or self._registers is None:
            return None if columns is None else (columns, counts)
        again = self._registers.records(bodies, lines=lines)
        columns = self._with_registers(columns, joined, None if again is None else again[1])
        return None if columns is None else (columns, counts)

    def read_items(self, pieces: Sequence[bytes]) -> DecodedColumns | None:
        """Records that were cut out of one document, each of them one JSON value -> columns; None if anything about any
        of them is not certain."""
        found = self._documents.items(pieces)
        columns = None if found is None else self._columns(*found, around=0)
        if found is None or columns is None or self._registers is None:
            return columns
        again = self._registers.items(pieces)
        return self._with_registers(columns, found[0], None if again is None else again[1])

    def _with_registers(self, columns: DecodedColumns, body: bytes, records: list[Any] | None) -> DecodedColumns | None:
        """The columns with the registers of the same records, decoded as mappings (None: they could not be)."""
        except_keys = self._plan.except_keys or frozenset()
        registers = None if records is None else register_values(body, records, except_keys)
        return None if registers is None else msgspec.structs.replace(columns, registers=registers)

    def _columns(self, body: bytes, records: Sequence[Any], around: int) -> DecodedColumns | None:
        """The columns of decoded `records`, all of which came from `body`; None if anything is not certain. `around`:
        brackets around the records of all payloads but one."""
        # Every record opens at least so many brackets: only what is beyond that can nest deeper than one record does.
        usual = (len(records) - 1) * self._brackets + around if records else 0
        if not is_plain(body, self._max_depth, usual_brackets=usual, any_escape=self._any_escape):
            return None
        taken = [list(map(getter, records)) for getter in self._getters]
        missing = [
            0 if column.required else one.count(UNSET) for column, one in zip(self._plan.columns, taken, strict=True)
        ]
        if not self._keys_are_single(body, records, taken, missing):
            return None
        values: list[list[Any]] = []
        walls = receipt_times(len(records))
        offsets: list[int | None] | None = None
        for column, given, absent in zip(self._plan.columns, taken, missing, strict=True):
            some = [None if value is UNSET else value for value in given] if absent else given
            one: list[Any] | None = some
            if column.kind in TIME_KINDS:
                read = self._plan.times.column(given) if given else walls
                if read is None:
                    return None
                walls, one = read, []
            elif column.kind == "offset":
                offsets, one = offset_column(some, self._plan.offset_unit), []
                if offsets is None:
                    return None
            elif column.packed is not None or column.scaled:
                one = (packed_column if column.packed else scaled_column)(some, column)
            if one is None:
                return None
            values.append(one)
        if offsets is not None:
            walls = with_offsets(walls, offsets)
        return DecodedColumns(len(records), walls, values) if times_good(walls, self._plan) else None

    def _keys_are_single(self, body: bytes, records: Sequence[Any], taken: list[list[Any]], missing: list[int]) -> bool:
        """Whether no record has a key that is read twice. `taken` are the values by column, UNSET where `missing`."""
        expected = []
        for token in self._tokens:
            there = token.required * len(records) + sum(len(records) - missing[number] for number in token.columns)
            there += sum(len(records) - list(map(getter, records)).count(UNSET) for getter in token.objects)
            expected.append((token.token, there))
        # Every member has a colon. If there are no more colons than the members that were read and the texts in them
        # have, there is nothing else in the bytes. One pass; without that, one for each key.
        if self._registers is None:
            colons = sum(there * (1 + token.count(b":")) for token, there in expected)
            if body.count(b":") == colons + self._colons_in_texts(taken):
                return True
        return all(body.count(token) == there for token, there in expected)

    def _colons_in_texts(self, taken: list[list[Any]]) -> int:
        found = 0
        for column, values in zip(self._plan.columns, taken, strict=True):
            if column.kind in ("time_text", "tag", "attribute", "zone"):
                found += "".join(filter(None, values)).count(":")
            elif column.kind in ("time_any", "offset"):
                found += sum(value.count(":") for value in values if isinstance(value, str))
            elif column.kind == "labels":
                found += sum("".join(labels).count(":") for labels in values if labels)
        return found


def receipt_times(count: int) -> LocalTimes:
    """Times of a feed that takes the time of receipt: filled in with it later."""
    return LocalTimes(np.zeros(count, np.int64), np.zeros(count, np.uint8), np.ones(count, np.bool_))


def times_good(walls: LocalTimes, plan: DecodePlan) -> bool:
    """Whether every time was read, is in range, and has the offset that the feed asks for."""
    if plan.offset_required and walls.local.any():
        return False
    return bool(walls.ok.all() and in_range(walls).all())
