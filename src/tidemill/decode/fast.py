"""The fast reader: typed decoding by msgspec into structs compiled for a feed, many documents in one call.

It returns records only when they certainly have no fault, else None without a reason: the strict reader (`strict.py`)
names faults. Duplicate keys, which msgspec accepts silently, are excluded by counting: every key that is read must
occur in the bytes exactly as often as records have it.
"""

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET

from tidemill.decode.compile import compile_getter, compile_record, key_tokens, required_brackets
from tidemill.decode.derived import derived_columns
from tidemill.decode.documents import Documents
from tidemill.decode.exactness import EXACT
from tidemill.decode.feed_columns import Column
from tidemill.decode.plan import DecodePlan
from tidemill.decode.register_values import MARK, RegisterForm, attribute_text
from tidemill.decode.registers import RegisterColumns
from tidemill.decode.scan import is_plain
from tidemill.decode.text_numbers import text_column
from tidemill.decode.time_formats import TIME_KINDS, offset_column, with_offsets
from tidemill.decode.times import LocalTimes, in_range
from tidemill.decode.values import bytes_column, is_in_bounds, packed_column, scaled_column

# The types of all members: those of a record without its time may be of any.
_RegisterValue = float | bool | str | list[Any] | dict[str, Any] | None

_MAX_DISTINCT: Final = 256  # register names counted in one go; each costs a pass over the bytes
_MAX_NAME: Final = 256


class RowTexts(msgspec.Struct):
    """Texts of records as columns: the row, the name and the text of each."""

    rows: "array[int]"
    keys: list[str] = []
    values: list[str] = []


class DecodedColumns(msgspec.Struct, frozen=True):
    """Records without fault, column by column: `times`; `values` in the plan's order ([] for the time and the offset);
    `registers` a mapping for each record (or as columns), where the feed has registers; `offsets` those that stand in
    members of their own, where the feed has such; `marks`: the rows that have each mark; `texts`: the registers that
    are kept as attributes."""

    count: int
    times: LocalTimes
    values: list[list[Any]]
    registers: list[dict[str, float | None]] | RegisterColumns | None = None
    offsets: list[int | None] | None = None
    marks: dict[str, Sequence[int]] = {}
    texts: RowTexts | None = None


class FastReader:
    """Reads the records of many payloads at once; None means that the strict reader must read them."""

    def __init__(self, plan: DecodePlan, max_depth: int) -> None:
        self._plan = plan
        self._max_depth = max_depth
        self._documents = Documents(compile_record(plan, certain_time=False), plan.records)
        self._registers = Documents(dict[str, _RegisterValue], plan.records) if plan.except_keys is not None else None
        self._getters = [compile_getter(plan, column) for column in plan.columns]
        self._tokens = key_tokens(plan)
        self._brackets = required_brackets(plan)
        self._any_escape = plan.except_keys is not None or any(
            not key.isascii() or any(sign in key for sign in '/"\\') for key in plan.root.every_key()
        )

    def read_payloads(self, bodies: Sequence[bytes], *, lines: bool) -> tuple[DecodedColumns, list[int]] | None:
        """(the records of payloads as columns, the number of records of each payload); None if any of them is not
        certain to be without fault. The payloads have one format (`lines`: NDJSON) and are stripped of outer white
        space."""
        decoded = self._documents.decode_payloads(bodies, lines=lines)
        if decoded is None:
            return None
        joined, records, counts = decoded
        around = (len(bodies) - 1) * self._documents.brackets(bodies, lines=lines)
        columns = self._columns(joined, records, around)
        if columns is None or self._registers is None:
            return None if columns is None else (columns, counts)
        again = self._registers.decode_payloads(bodies, lines=lines)
        columns = self._with_registers(columns, joined, None if again is None else again[1])
        return None if columns is None else (columns, counts)

    def read_records(self, pieces: Sequence[bytes]) -> DecodedColumns | None:
        """The columns of records that were cut out of one document, each of them one JSON value; None if any of them is
        not certain to be without fault."""
        decoded = self._documents.decode_records(pieces)
        columns = None if decoded is None else self._columns(*decoded, around=0)
        if decoded is None or columns is None or self._registers is None:
            return columns
        again = self._registers.decode_records(pieces)
        return self._with_registers(columns, decoded[0], None if again is None else again[1])

    def _with_registers(self, columns: DecodedColumns, body: bytes, records: list[Any] | None) -> DecodedColumns | None:
        """The columns with registers; `records` are the same records decoded as mappings (None: they could not be)."""
        if records is None or self._plan.registers is None:
            return None
        registers = _register_columns(body, records, self._plan.except_keys or frozenset(), self._plan.registers)
        if registers is None:
            return None
        marks = {MARK: registers.passed} if registers.passed else {}
        texts = registers.texts if registers.texts.rows else None
        return msgspec.structs.replace(columns, registers=registers.values, marks=marks, texts=texts)

    def _columns(self, body: bytes, records: Sequence[Any], around: int) -> DecodedColumns | None:
        """The columns of decoded `records`, all of them from `body`; None if any is not certain to be without fault.
        `around`: the brackets around the records of all payloads but one."""
        # Every record opens at least so many brackets: only further ones can nest deeper than one record does.
        usual = (len(records) - 1) * self._brackets + around if records else 0
        if not is_plain(body, self._max_depth, usual_brackets=usual, any_escape=self._any_escape):
            return None
        taken = [list(map(getter, records)) for getter in self._getters]
        missing = [
            0 if column.required else given.count(UNSET)
            for column, given in zip(self._plan.columns, taken, strict=True)
        ]
        if not self._keys_are_single(body, records, taken, missing):
            return None
        present = [
            [None if value is UNSET else value for value in given] if absent else given
            for given, absent in zip(taken, missing, strict=True)
        ]
        return self.decode_values(present, len(records))

    def decode_values(self, taken: Sequence[list[Any]], count: int) -> DecodedColumns | None:
        """The columns of the members of `count` records, whose types are those of `column_type` (None: null, or missing
        and optional); None if any is not certain to be without fault."""
        values: list[list[Any]] = []
        times = receipt_times(count)
        offsets: list[int | None] | None = None
        for column, present in zip(self._plan.columns, taken, strict=True):
            decoded: list[Any] | None = present
            if column.kind in TIME_KINDS:
                parsed = self._plan.times.parse_column(present) if present else times
                if parsed is None:
                    return None
                times, decoded = parsed, []
            elif column.kind == "offset":
                offsets, decoded = offset_column(present, self._plan.offset_unit), []
                if offsets is None:
                    return None
            else:
                decoded = _member_column(present, column)
            if decoded is None:
                return None
            values.append(decoded)
        derived = derived_columns(self._plan, values)
        if derived is None:
            return None
        values += derived
        if offsets is not None:
            times = with_offsets(times, offsets)
        good = times_good(times, self._plan)
        return DecodedColumns(count, times, values, offsets=offsets) if good else None

    def _keys_are_single(self, body: bytes, records: Sequence[Any], taken: list[list[Any]], missing: list[int]) -> bool:
        """Whether no record has a duplicate of a key that is read. `taken`: the values by column; `missing`: how many
        of a column's are UNSET."""
        expected = []
        for token in self._tokens:
            occurrences = token.required * len(records) + sum(
                len(records) - missing[number] for number in token.columns
            )
            occurrences += sum(len(records) - list(map(getter, records)).count(UNSET) for getter in token.objects)
            expected.append((token.token, occurrences))
        # Every member has a colon. If the bytes have no more colons than the members that were read and their texts,
        # there is no other member. This takes one pass; otherwise each key takes one.
        if self._registers is None:
            colons = sum(occurrences * (1 + token.count(b":")) for token, occurrences in expected)
            if body.count(b":") == colons + self._colons_in_texts(taken):
                return True
        return all(body.count(token) == occurrences for token, occurrences in expected)

    def _colons_in_texts(self, taken: list[list[Any]]) -> int:
        count = 0
        for column, values in zip(self._plan.columns, taken, strict=True):
            if column.integer or column.kind in ("time_any", "offset", "text_number", "boolean"):
                count += sum(value.count(":") for value in values if isinstance(value, str))
            elif column.kind in ("time_text", "tag", "attribute", "zone", "register_name"):
                count += "".join(filter(None, values)).count(":")
            elif column.kind == "labels":
                count += sum("".join(labels).count(":") for labels in values if labels)
        return count


def receipt_times(count: int) -> LocalTimes:
    """Placeholder times for a feed that uses the time of receipt, which `assemble_batch` fills in."""
    return LocalTimes(np.zeros(count, np.int64), np.zeros(count, np.uint8), np.ones(count, np.bool_))


def times_good(times: LocalTimes, plan: DecodePlan) -> bool:
    """Whether every time was read, is in range, and has the offset that the feed asks for."""
    if plan.offset_required and times.local.any():
        return False
    return bool(times.ok.all() and in_range(times).all())


def _member_column(values: list[Any], column: Column) -> list[Any] | None:
    """The values of a column as the batch has them; None if any is not certain to be without fault."""
    if column.integer:
        texts = [str(value) if isinstance(value, int) else value for value in values]
        return None if any(text is not None and len(text) > column.max_length for text in texts) else texts
    if column.text is not None:
        return _within(text_column(values, column.text, certain=column.not_exact != "round"), column)
    if column.kind == "octets":
        return bytes_column(values, column)
    if column.packed is not None or column.scaled:
        return (packed_column if column.packed else scaled_column)(values, column)
    return values


def _within(numbers: list[float | None] | None, column: Column) -> list[float | None] | None:
    """The numbers of a column; None if any is missing that must not be, or is not within the column's bounds."""
    if numbers is None or (column.required and None in numbers):
        return None
    present = np.array([number for number in numbers if number is not None], np.float64)
    return numbers if is_in_bounds(present, column).all() else None


class _RegisterColumns(msgspec.Struct):
    """The registers of many records: `values` a mapping for each, the rows with a member that was passed over, and the
    members that are kept as attributes."""

    passed: "array[int]"
    texts: RowTexts
    values: list[dict[str, float | None]] = []

    def pass_over(self, key: str, value: Any, form: RegisterForm) -> bool:
        """Whether a member of the next row that is no number may be passed over, or kept as an attribute."""
        if not form.is_passed_over(value):
            return False
        text = attribute_text(value) if form.texts == "attribute" else None
        if text is not None:
            self.texts.rows.append(len(self.values))
            self.texts.keys.append(key)
            self.texts.values.append(text)
        elif not self.passed or self.passed[-1] != len(self.values):
            self.passed.append(len(self.values))
        return True


def _register_columns(
    body: bytes, records: Sequence[dict[str, Any]], except_keys: frozenset[str], form: RegisterForm
) -> _RegisterColumns | None:
    """The registers of each record: every member but `except_keys` that is a number, or null where there is no reading.
    None if a record has none, or only others, a member that is no number is to be a fault, or a name may be
    duplicate."""
    columns = _RegisterColumns(array("q"), RowTexts(array("q")))
    shapes = list(map(tuple, records))
    names = {keys: [key for key in keys if key not in except_keys] for keys in set(shapes)}
    high = math.inf if form.not_exact == "round" else float(EXACT)  # an int takes twice as long to compare
    low = -high
    for record, keys in zip(records, shapes, strict=True):
        registers: dict[str, float | None] = {}
        numbers = others = 0
        for key in names[keys]:
            value = record[key]
            if type(value) is float:
                if not low < value < high:
                    return None
                registers[key] = value
                numbers += 1
            elif value is None:
                registers[key] = None
            elif (number := form.number_of(value)) is not None:
                registers[key] = number
                numbers += 1
            elif columns.pass_over(key, value, form):
                others += 1
            else:
                return None
        if not numbers and (others or not registers):
            return None
        columns.values.append(registers)
    counts: Counter[str] = Counter()
    for keys, times in Counter(shapes).items():
        counts.update(dict.fromkeys(names[keys], times))
    if len(counts) > _MAX_DISTINCT or any(not 0 < len(key) <= _MAX_NAME for key in counts):
        return None
    single = all(body.count(f'"{key}"'.encode()) == count for key, count in counts.items())
    return columns if single else None
