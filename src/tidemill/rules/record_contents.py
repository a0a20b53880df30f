"""What was read of single records of a payload: time, tags, fields. For people: a Python object for each record."""

from typing import Any

import msgspec
import polars as pl

from tidemill.decode.batch import Batch

FieldValue = float | list[float | None] | None


class RecordContents(msgspec.Struct, frozen=True):
    """A well-formed record: its instant (ns UTC; None: it has none), tags, and its fields with their values as they
    would be stored (null: absent or null; a list of an array)."""

    time_ns: int | None
    tags: dict[str, str]
    fields: dict[str, FieldValue]


def record_contents(judged: pl.DataFrame, batch: Batch) -> dict[int, RecordContents]:
    """The contents of each record (by `idx`) of a judged frame (`rules.apply.judge_records`) of one payload."""
    names = {name: name.removeprefix("f.") for name in judged.columns if name.startswith("f.")}
    tags = [{pair["key"]: pair["value"] for pair in pairs} for pairs in batch.identities["tags"].to_list()]
    registers = _registers(judged, batch)
    if batch.registers is not None:  # tests on registers add columns of their own
        names = {}
    return {
        row["idx"]: RecordContents(
            time_ns=row["time"],
            tags=tags[row["identity"]],
            fields=registers.get(row["idx"], {}) | {field: row[name] for name, field in names.items()},
        )
        for row in judged.select("idx", "identity", "time", *names).iter_rows(named=True)
    }


def _registers(judged: pl.DataFrame, batch: Batch) -> dict[int, dict[str, Any]]:
    """The registers of the records by `idx`, null where one came without a reading."""
    if batch.registers is None:
        return {}
    parts = [batch.registers.select("idx", "field", "value")]
    if batch.null_registers is not None:
        parts.append(batch.null_registers.select("idx", "field", pl.lit(None, pl.Float64).alias("value")))
    registers: dict[int, dict[str, Any]] = {}
    for index, field, value in pl.concat(parts).join(judged.select("idx"), on="idx", how="semi").iter_rows():
        registers.setdefault(index, {})[field] = value
    return registers
