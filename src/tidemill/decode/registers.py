"""Registers, the fields that no feed names: the names and numbers of many records as columns."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

REGISTERS: dict[str, Any] = {"seq": pl.UInt64, "idx": pl.UInt32, "field": pl.String, "value": pl.Float64}


class RegisterColumns(msgspec.Struct, frozen=True):
    """The registers of records: the number of the record, the name and the number of each that has one."""

    rows: NDArray[np.int64]
    names: Sequence[str]
    values: Sequence[float]

    @classmethod
    def of_records(cls, records: Sequence[Mapping[str, float]]) -> "RegisterColumns":
        """The registers of records, a mapping for each."""
        rows = np.repeat(np.arange(len(records)), [len(record) for record in records])
        names = list(chain.from_iterable(records))
        return cls(rows, names, list(chain.from_iterable(record.values() for record in records)))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Sequence[float | None]]) -> "RegisterColumns":
        """The registers of records, an array for each name; null is no reading and is left out."""
        rows, names, values = [np.zeros(0, np.int64)], list[str](), list[float]()
        for name, numbers in arrays.items():
            known = [row for row, number in enumerate(numbers) if number is not None]
            rows.append(np.array(known, np.int64))
            values += [number for number in numbers if number is not None]
            names += [name] * len(known)
        return cls(np.concatenate(rows), names, values)

    @classmethod
    def of_pairs(cls, names: Sequence[str], values: Sequence[float | None]) -> "RegisterColumns":
        """The registers of records that have one each; of a record whose value is null there is none."""
        rows = [row for row, value in enumerate(values) if value is not None]
        known = [value for value in values if value is not None]
        return cls(np.array(rows, np.int64), [names[row] for row in rows], known)

    def frame(self, seqs: NDArray[Any], indexes: NDArray[Any]) -> pl.DataFrame:
        """REGISTERS; `seqs` and `indexes` are those of the records."""
        data = {"seq": seqs[self.rows], "idx": indexes[self.rows], "field": self.names, "value": self.values}
        return pl.DataFrame(data, schema=REGISTERS)
