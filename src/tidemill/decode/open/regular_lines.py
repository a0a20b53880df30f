"""The fast reader of line protocol: lines that have the same keys in the same order become columns at once.

Space and `=` become commas, and the columns' engine reads the result as CSV. That is right exactly if every line has
the separators of the first in the same order (all other bytes deleted, the rest is one text repeated), no byte that
line protocol or CSV gives another meaning, and key columns that are constant. Else the reader gives no chunk, without a
reason: then `exact_lines.py` reads the lines.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.open.records import NAME, NO_TIME, Chunk, FieldColumn
from tidemill.model.time import MAX_NS, MIN_NS

SEPARATORS: Final = b" =,\n"
_ODD: Final = bytes([*range(10), *range(11, 32), 127]) + b'"\\#'  # of another meaning, or of none
DELETED: Final = bytes(sorted(set(range(256)) - set(SEPARATORS) - set(_ODD)))
_COMMAS: Final = bytes.maketrans(b" =", b",,")
_MARK: Final = b"\xef\xbb\xbf"
MAX_NAME: Final = 1024  # bytes of a name, a key, or a tag's value
MAX_TAGS: Final = 256
MAX_FIELDS: Final = 4096  # of a line
_TRUE: Final = ("t", "T", "true", "True", "TRUE")
_FALSE: Final = ("f", "F", "false", "False", "FALSE")
_EXACT: Final = 1 << 53


class Template(msgspec.Struct, frozen=True):
    """The keys of a line: of its tags, its fields, and whether it has a time. `forms`: of its values, `float`, `int`,
    `uint` or `bool`."""

    tags: tuple[str, ...]
    fields: tuple[str, ...]
    forms: tuple[str, ...]
    timed: bool

    @property
    def keys(self) -> list[tuple[int, str]]:
        """(column, key) of each column that must be constant."""
        names = (*self.tags, *self.fields)
        return [(1 + 2 * number, name) for number, name in enumerate(names)]

    @property
    def width(self) -> int:
        """The columns of a line."""
        return 1 + 2 * (len(self.tags) + len(self.fields)) + self.timed


def template_of(line: bytes) -> Template | None:
    """The template of a line without quotes and backslashes; None where it is not of that plain form."""
    try:
        parts = line.decode().split(" ")
    except UnicodeDecodeError:
        return None
    if len(parts) not in (2, 3):
        return None
    tags = [pair.split("=") for pair in parts[0].split(",")[1:]]
    fields = [pair.split("=") for pair in parts[1].split(",")]
    if any(len(pair) != 2 or not all(pair) or len(pair[0].encode()) > MAX_NAME for pair in (*tags, *fields)):
        return None
    names, keys = tuple(pair[0] for pair in tags), tuple(pair[0] for pair in fields)
    if len(set(names)) < len(names) or len(set(keys)) < len(keys) or NAME in names:
        return None
    if len(names) > MAX_TAGS or len(keys) > MAX_FIELDS:
        return None
    return Template(names, keys, tuple(_form(value) for _, value in fields), len(parts) == 3)


def _form(value: str) -> str:
    return {"i": "int", "u": "uint"}.get(value[-1]) or ("bool" if value in _TRUE or value in _FALSE else "float")


def read_regular(body: bytes, indexes: NDArray[np.int64] | None, unit_ns: int) -> Chunk | None:
    """The rows of lines; `indexes`: of the lines (None: from 0). None where they are not certain to be regular."""
    first, _, _ = body.partition(b"\n")
    template = template_of(first)
    if template is None:
        return None
    shape = body.translate(None, DELETED)
    line = first.translate(None, DELETED) + b"\n"
    if line.translate(None, SEPARATORS) or _has_long_value(body):
        return None
    if not shape.endswith(b"\n"):
        shape += b"\n"
    lines, rest = divmod(len(shape), len(line))
    if rest or shape != line * lines:
        return None
    types: list[Any] = [pl.String] * template.width
    at = 1 + 2 * len(template.tags)
    for number, form in enumerate(template.forms):
        types[at + 2 * number + 1] = pl.Float64 if form == "float" else pl.String
    if template.timed:
        types[-1] = pl.Int64
    frame = _table(body.translate(_COMMAS), types)
    if frame is None or len(frame) != lines or any(column.null_count() for column in frame):
        return None
    if not _is_constant(frame, template):
        return None
    return chunk_of(frame, template, np.arange(lines) if indexes is None else indexes, unit_ns)


def _has_long_value(body: bytes) -> bool:
    """Whether a name or a value has more than MAX_NAME bytes; most bodies have no line that is so long."""
    at = 0
    while at + MAX_NAME < len(body):
        end = body.rfind(b"\n", at, at + MAX_NAME + 1)
        if end < 0:
            break
        at = end + 1
    else:
        return False
    octets = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero(np.isin(octets, np.frombuffer(SEPARATORS, np.uint8)))
    return bool(np.diff(ends, prepend=-1, append=len(body)).max() > MAX_NAME + 1)


def _table(commas: bytes, types: Sequence[Any]) -> pl.DataFrame | None:
    if commas.startswith(_MARK):  # the columns' engine would leave it out
        return None
    schema = {f"c{number}": kind for number, kind in enumerate(types)}
    try:
        return pl.read_csv(commas, has_header=False, schema=schema, quote_char=None)
    except pl.exceptions.PolarsError:
        return None


def _is_constant(frame: pl.DataFrame, template: Template) -> bool:
    same = frame.select(pl.all_horizontal([(pl.col(f"c{n}") == name).all() for n, name in template.keys]))
    return bool(same.to_series().item())


def chunk_of(frame: pl.DataFrame, template: Template, indexes: NDArray[np.int64], unit_ns: int) -> Chunk | None:
    """The rows of a table of lines of one template; None where a value, a name or a time needs the exact reader."""
    times = _times(frame, template, unit_ns)
    heads = ["c0", *(f"c{2 * n + 2}" for n in range(len(template.tags)))]
    head = frame.select(pl.concat_str(heads, separator=",")).to_series()
    distinct = head.unique(maintain_order=True)
    sets = [text.split(",") for text in distinct.to_list()]
    if times is None or any(len(value.encode()) > MAX_NAME for texts in sets for value in texts):
        return None
    codes = np.zeros(len(frame), np.int64)
    if len(sets) > 1:
        codes = head.cast(pl.Enum(distinct)).to_physical().to_numpy().astype(np.int64)
    names = (NAME, *template.tags)
    columns, rounded = [], np.zeros(len(frame), np.bool_)
    for number, (field, form) in enumerate(zip(template.fields, template.forms, strict=True)):
        read = _numbers(frame[f"c{2 * (len(template.tags) + number) + 2}"], form)
        if read is None:
            return None
        columns.append(FieldColumn(field, read[0]))
        if read[1] is not None:
            rounded |= read[1]
    marked = np.flatnonzero(rounded)
    tags = [tuple(sorted(zip(names, texts, strict=True))) for texts in sets]
    return Chunk(indexes, codes, tags, times, columns, marked if len(marked) else None)


def _times(frame: pl.DataFrame, template: Template, unit_ns: int) -> NDArray[np.int64] | None:
    if not template.timed:
        return np.full(len(frame), NO_TIME)
    times = frame[f"c{template.width - 1}"].to_numpy()
    if times.min() < -(-MIN_NS // unit_ns) or times.max() > MAX_NS // unit_ns:
        return None
    scaled: NDArray[np.int64] = times if unit_ns == 1 else times * unit_ns
    return scaled


def _numbers(values: pl.Series, form: str) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None] | None:
    """(numbers, which are rounded) of a column of values of one form; None where one is of another form."""
    if form == "bool":
        true = values.is_in(_TRUE)
        return (true.to_numpy().astype(np.float64), None) if (true | values.is_in(_FALSE)).all() else None
    if form == "float":
        numbers = values if values.dtype == pl.Float64 else values.cast(pl.Float64, strict=False)
        good = not numbers.null_count() and bool(numbers.is_finite().all())
        return (numbers.to_numpy(), None) if good else None
    suffix, kind = ("i", pl.Int64) if form == "int" else ("u", pl.UInt64)
    if not values.str.ends_with(suffix).all():
        return None
    whole = values.str.strip_suffix(suffix).cast(kind, strict=False)
    if whole.null_count():
        return None
    integers = whole.to_numpy()
    numbers_of = integers.astype(np.float64)
    if len(integers) and (integers.max() > _EXACT or integers.min() < -_EXACT):
        return numbers_of, np.array(
            [int(number) != int(value) for number, value in zip(numbers_of, integers, strict=True)]
        )
    return numbers_of, None


def read_group(
    lines: Sequence[bytes], indexes: NDArray[np.int64], unit_ns: int
) -> tuple[list[Chunk], NDArray[np.int64]]:
    """(the rows of lines with the same separators, the numbers of those lines that need the exact reader)."""
    regular = read_regular(b"\n".join(lines), indexes, unit_ns)
    every = np.arange(len(lines))
    if regular is not None:
        return [regular], every[:0]
    template = template_of(lines[0])
    if template is None:
        return [], every
    body = b"\n".join(lines)
    frame = None if _has_long_value(body) else _table(body.translate(_COMMAS), [pl.String] * template.width)
    if frame is None or len(frame) != len(lines) or any(column.null_count() for column in frame):
        return [], every
    keys = [f"c{number}" for number, _ in template.keys]
    groups = frame.with_row_index("line").group_by(keys, maintain_order=True).agg("line")
    if len(groups) > max(1, len(lines) // FEWEST):
        return [], every
    chunks, left = [], np.ones(len(lines), np.bool_)
    for numbers in groups["line"].to_list():
        own = template_of(lines[numbers[0]])
        if own is None or len(numbers) < FEWEST:
            continue
        table = frame[numbers]
        if own.timed:
            times = table[table.columns[-1]].cast(pl.Int64, strict=False)
            if times.null_count():
                continue
            table = table.with_columns(times)
        chunk = chunk_of(table, own, indexes[numbers], unit_ns)
        if chunk is not None:
            chunks.append(chunk)
            left[numbers] = False
    return chunks, every[left]


FEWEST: Final = 16  # lines that are worth a table of their own
