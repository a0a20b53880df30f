"""Pages of points as frames of a library that the caller has: Polars, or PyArrow, of which pandas frames are made.

The client is installed without any of them. A function here raises MissingPackageError where its library is not there.
"""

import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from tidemill.errors import MissingPackageError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

T = TypeVar("T")


class FrameLibrary(msgspec.Struct, Generic[T], frozen=True):
    """How frames of a library are made: of a page as Arrow (its times then in a zone or in UTC), and of all pages."""

    read_page: Callable[[bytes, str | None], T]
    join_pages: Callable[[list[T]], T]


def polars_frames() -> FrameLibrary["pl.DataFrame"]:
    """Polars frames: `time` (nanoseconds), then the value or the aggregates; null is missing."""
    pl: Any = _library("polars", "points as a Polars frame need", "points_arrow and text_pages do without")

    def read_page(body: bytes, tz: str | None) -> "pl.DataFrame":
        frame: Any = pl.read_ipc_stream(io.BytesIO(body))
        return frame.with_columns(pl.col("time").dt.convert_time_zone(tz)) if tz else frame

    return FrameLibrary(read_page, pl.concat)


def arrow_tables() -> FrameLibrary["pa.Table"]:
    """Tables of PyArrow, with the columns of `polars_frames`."""
    pa: Any = _library("pyarrow", "points as an Arrow table need", "text_pages does without")
    ipc: Any = importlib.import_module("pyarrow.ipc")

    def read_page(body: bytes, tz: str | None) -> "pa.Table":
        table: Any = ipc.open_stream(body).read_all()
        if tz is None:
            return table
        at = table.schema.get_field_index("time")
        return table.set_column(at, "time", table.column("time").cast(pa.timestamp("ns", tz)))

    return FrameLibrary(read_page, pa.concat_tables)


def pandas_frame(tables: "pa.Table") -> "pd.DataFrame":
    """The pandas frame of a table; NaN is missing."""
    _library("pandas", "points as a pandas frame need", "points_arrow does without")
    frame: Any = tables.to_pandas()
    return frame


def columns_frame(times: Sequence[str], columns: Mapping[str, Sequence[float | None]]) -> "pl.DataFrame":
    """A Polars frame of columns: `time` (RFC 3339; nanoseconds, UTC), then numbers by name; null is missing."""
    polars: Any = _library("polars", "columns as a Polars frame need", "the lists of the answer do without")
    instants = polars.Series(times, dtype=polars.String).str.to_datetime(time_unit="ns", time_zone="UTC")
    frame: pl.DataFrame = polars.DataFrame(
        {"time": instants, **columns}, schema_overrides=dict.fromkeys(columns, polars.Float64)
    )
    return frame


def _library(name: str, what: str, otherwise: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise MissingPackageError(f"{what} {name}: pip install {name} ({otherwise})") from None
