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
    """The registers of records: the number of the record, the name and the number of each (None: without a reading)."""

    rows: NDArray[np.int64]
    names: Sequence[str]
    values: Sequence[float | None]

    @classmethod
    def of_records(cls, records: Sequence[Mapping[str, float | None]]) -> "RegisterColumns":
        """The registers of records, a mapping for each."""
        rows = np.repeat(np.arange(len(records)), [len(record) for record in records])
        names = list(chain.from_iterable(records))
        return cls(rows, names, list(chain.from_iterable(record.values() for record in records)))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Sequence[float | None]]) -> "RegisterColumns":
        """The registers of records, an array for each name."""
        rows, names, values = [np.zeros(0, np.int64)], list[str](), list[float | None]()
        for name, numbers in arrays.items():
            rows.append(np.arange(len(numbers)))
            values += numbers
            names += [name] * len(numbers)
        return cls(np.concatenate(rows), names, values)

    @classmethod
    def of_pairs(cls, names: Sequence[str], values: Sequence[float | None]) -> "RegisterColumns":
        """The registers of records that have one each."""
        return cls(np.arange(len(names)), names, values)

    def frame(self, seqs: NDArray[Any], indexes: NDArray[Any]) -> pl.DataFrame:
        """REGISTERS, the value null without a reading; `seqs` and `indexes` are those of the records."""
        data = {"seq": seqs[self.rows], "idx": indexes[self.rows], "field": self.names, "value": self.values}
        return pl.DataFrame(data, schema=REGISTERS)
