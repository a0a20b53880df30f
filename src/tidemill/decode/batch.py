"""A batch: the records of many payloads as one columnar frame, the rejected records, and the identities of both.

`frame` has a row for each well-formed record (shape `samples`: for each sample), in no promised order:

    seq u64, idx u32        the payload and the record's index in it
    received_ns i64         when the payload was received, UTC
    identity u32            row of `identities`
    wall_ns i64, local u8   the instant; where `local` is WALL or DAY (`times.py`), a wall clock whose zone the rules
                            resolve
    zone str|null           the zone that the record names (feeds with `zone_path`)
    step_ns, step_count i64 what the record is later than the first of its list, whose time `wall_ns` is: a length of
                            time, or a number of steps of the calendar (feeds with a step; one of the two)
    a.<name> str|null       a column for each attribute
    f.<field> f64|null      a column for each field (list[f64] for arrays of numbers)
    p.lat, p.long f64|null  latitude and longitude in degrees, where they are no fields
    labels list[str]|null
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.feed_columns import Column
from tidemill.decode.given import given_texts
from tidemill.decode.plan import DecodePlan
from tidemill.decode.reading import Chunk, Reading
from tidemill.decode.registers import REGISTERS, RegisterColumns
from tidemill.model.payload import LogEntry

TAGS: Final = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
Schema = dict[str, Any]
IDENTITIES: Final[Schema] = {
    "identity": pl.UInt32,
    "tags": TAGS,
    "name": pl.String,
    "unit": pl.String,
    "description": pl.String,
}
_TYPES: Final[Schema] = {
    "zone": pl.String,
    "attribute": pl.String,
    "number": pl.Float64,
    "packed": pl.Float64,
    "text_number": pl.Float64,
    "boolean": pl.Float64,
    "numbers": pl.List(pl.Float64),
    "packed_list": pl.List(pl.Float64),
    "labels": pl.List(pl.String),
}


class Batch(msgspec.Struct, frozen=True):
    """Many payloads decoded. `counts`: `seq`, `records` of each payload: well-formed and rejected records.

    `identities`: `identity`, `tags` (list of key and value, sorted by key), and for samples `name`, `unit`,
    `description` (else empty). `registers`: `seq`, `idx`, `field`, `value`, only for feeds with registers;
    `null_registers`: `seq`, `idx`, `field` of registers that came without a reading. `stamps`: the times of rejected
    records, where they could be read (`stamps.py`); shape `samples` has none. `marks`: `seq`, `idx`, `mark` of records
    that are marked, and `texts`: `seq`, `idx`, `key`, `value` of texts among registers that are kept as attributes
    (`notes.py`); both None where there are none."""

    frame: pl.DataFrame
    rejections: pl.DataFrame
    identities: pl.DataFrame
    counts: pl.DataFrame
    registers: pl.DataFrame | None = None
    stamps: pl.DataFrame | None = None
    null_registers: pl.DataFrame | None = None
    marks: pl.DataFrame | None = None
    texts: pl.DataFrame | None = None


def identities_frame(tags: Sequence[dict[str, str]]) -> pl.DataFrame:
    """IDENTITIES of these tag sets, a row for each, in their order; names, units and descriptions are ""."""
    pairs = [
        (number, key, value) for number, tags_of_one in enumerate(tags) for key, value in sorted(tags_of_one.items())
    ]
    owners, keys, values = zip(*pairs, strict=True) if pairs else ((), (), ())
    held = pl.DataFrame(
        {"identity": owners, "key": keys, "value": values},
        schema={"identity": pl.UInt32, "key": pl.String, "value": pl.String},
    )
    grouped = held.group_by("identity", maintain_order=True).agg(pl.struct("key", "value").alias("tags"))
    every = pl.DataFrame({"identity": range(len(tags))}, schema={"identity": pl.UInt32})
    frame = every.join(grouped, on="identity", how="left", maintain_order="left")
    empty = (pl.lit("").alias(name) for name in ("name", "unit", "description"))
    return frame.with_columns(pl.col("tags").fill_null(pl.lit([], dtype=TAGS)), *empty)


def counts_frame(payloads: Sequence[LogEntry], records: Sequence[int]) -> pl.DataFrame:
    """The frame `counts`: `seq` and number of records of each payload."""
    return pl.DataFrame(
        {"seq": [logged.seq for logged in payloads], "records": records},
        schema={"seq": pl.UInt64, "records": pl.UInt32},
    )


def assemble_batch(plan: DecodePlan, reading: Reading, payloads: Sequence[LogEntry]) -> Batch:
    """The batch of what was read of these payloads."""
    chunks = reading.chunks()
    seqs = np.array([logged.seq for logged in payloads], np.uint64)
    received = np.array([logged.payload.received_ns for logged in payloads], np.int64)
    rows = _joined([chunk[1] for chunk in chunks])
    frame: dict[str, Any] = {
        "seq": seqs[rows],
        "idx": _joined([chunk[2] for chunk in chunks]).astype(np.uint32),
        "received_ns": received[rows],
    }
    tags = {c.name.removeprefix("t."): _values(chunks, n) for n, c in enumerate(plan.columns) if c.kind == "tag"}
    formats = [logged.payload.format for logged in payloads] if plan.given else []
    for tag, texts in zip(plan.given, given_texts(plan.given, formats), strict=True):
        tags[tag.name] = [texts[row] for row in rows.tolist()]
    identity, known = _number_tag_sets(tags, len(rows))
    frame["identity"] = identity
    if plan.time_received:
        frame["wall_ns"], frame["local"] = frame["received_ns"], np.zeros(len(rows), np.uint8)
    elif plan.begin is not None:
        frame |= reading.begin_columns(rows, frame["idx"])
    else:
        frame["wall_ns"] = _joined([chunk[0].times.ns for chunk in chunks])
        frame["local"] = _joined([chunk[0].times.local for chunk in chunks]).astype(np.uint8)
    for number, column in enumerate(plan.columns):
        if column.kind in _TYPES and not column.aside:
            frame[column.name] = _series(column, _values(chunks, number))
    for number, derived in enumerate(plan.derived, len(plan.columns)):
        frame[derived.column.name] = _series(derived.column, _values(chunks, number))
    has_value = pl.col("value").is_not_null()
    registers = _registers(plan, chunks, frame["seq"], frame["idx"])
    return Batch(
        pl.DataFrame(frame),
        _of_payloads(reading.rejected.frame(), seqs),
        identities_frame(known),
        counts_frame(payloads, reading.counts),
        None if registers is None else registers.filter(has_value),
        reading.stamps_frame(payloads),
        None if registers is None else registers.filter(~has_value).drop("value"),
        reading.notes.marks(seqs),
        reading.notes.texts(seqs),
    )


def _joined(parts: Sequence[Any]) -> Any:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _of_payloads(rejected: pl.DataFrame, seqs: NDArray[np.uint64]) -> pl.DataFrame:
    """The rejections with the offset of their payload as `seq`, instead of its number in `seqs`."""
    return rejected.with_columns(pl.Series("seq", seqs[rejected["seq"].to_numpy()]))


def _values(chunks: Sequence[Chunk], number: int) -> list[Any]:
    if len(chunks) == 1:
        return chunks[0][0].values[number]
    return list(chain.from_iterable(chunk[0].values[number] for chunk in chunks))


def _series(column: Column, values: list[Any]) -> pl.Series:
    if column.kind == "number" and column.required:  # no nulls: NumPy reads a list of floats faster
        return pl.Series(column.name, np.array(values, np.float64))
    return pl.Series(column.name, values, dtype=_TYPES[column.kind])


def _number_tag_sets(tags: dict[str, list[Any]], count: int) -> tuple[Any, list[dict[str, str]]]:
    """(identity of each row, the tags of each identity); `tags` are columns by name. Rows with equal tags have one
    identity; a null tag is absent.

    Works a tag at a time: a tuple for each row would cost as much as all other work of decoding with tags."""
    if not tags:
        return np.zeros(count, np.uint32), [{}] if count else []
    identity, sets = np.zeros(count, np.int64), [dict[str, str]()]
    for name, values in tags.items():
        texts = {text: number for number, text in enumerate(dict.fromkeys(values))}
        numbers = np.fromiter(map(texts.__getitem__, values), np.int64, count)
        codes, identity = np.unique(identity * len(texts) + numbers, return_inverse=True)
        known = list(texts)
        pairs = (divmod(code, len(texts)) for code in codes.tolist())
        sets = [sets[number] | ({} if known[text] is None else {name: known[text]}) for number, text in pairs]
    return identity.astype(np.uint32), sets if count else []


def _registers(plan: DecodePlan, chunks: Sequence[Chunk], seqs: Any, indexes: Any) -> pl.DataFrame | None:
    """REGISTERS of all records; None where the feed has no registers."""
    name, value = plan.column_number("register"), plan.column_number("value")
    if name is not None and value is not None:
        return RegisterColumns.of_pairs(_values(chunks, name), _values(chunks, value)).frame(seqs, indexes)
    if plan.except_keys is None:
        return None
    frames, first = [pl.DataFrame(schema=REGISTERS)], 0
    for columns, _, _ in chunks:
        last, given = first + columns.count, columns.registers or []
        registers = given if isinstance(given, RegisterColumns) else RegisterColumns.of_records(given)
        frames.append(registers.frame(seqs[first:last], indexes[first:last]))
        first = last
    return pl.concat(frames)
