"""`tidemill export`: writes the points of a series to a file, page by page, with a progress bar."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tidemill.cli.common import DEFAULT_URL, AnyKeyOption, UrlOption, err, progress_bar
from tidemill.cli.points_options import (
    AggOption,
    EndOption,
    EveryOption,
    FeedOption,
    FieldOption,
    SeriesArgument,
    StartOption,
    TagOption,
    ZoneOption,
    check_choice,
    open_client,
    point_selection,
)
from tidemill.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

_FORMATS: Final = ("csv", "ndjson", "parquet", "arrow")
_EXPORT_PATIENCE_S: Final = 60.0


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    series: SeriesArgument = "",
    feed: FeedOption = "",
    field: FieldOption = "",
    tag: TagOption = None,
    start: StartOption = "",
    end: EndOption = "",
    every: EveryOption = "",
    agg: AggOption = "",
    tz: ZoneOption = "",
    format: Annotated[
        str, typer.Option(help="csv, ndjson, parquet or arrow (an IPC file).", show_default="by the file's name")
    ] = "",
    url: UrlOption = DEFAULT_URL,
    key: AnyKeyOption = "",
) -> None:
    """Write the points of one series to a file, raw or over windows. The file has its name only when it is whole.

    Example: `tidemill export --feed location --field speed --tag user_id=a1 -o speed.parquet`
    """
    kind: Any = format or output.suffix.removeprefix(".")
    check_choice("--format" if format else "The end of the file's name", kind, _FORMATS)
    if kind in ("parquet", "arrow") and find_spec("polars") is None:
        raise MissingPackageError(f"A file of {kind} needs Polars: pip install polars. csv and ndjson do without.")
    selection = point_selection(series, feed, field, tag, start=start, end=end, every=every, agg=agg, tz=tz)
    part, written = output.with_name(f"{output.name}.part"), 0
    with open_client(url, key, patience_s=_EXPORT_PATIENCE_S) as client, progress_bar() as show_progress:

        def progress(done: int, total: int | None) -> None:
            nonlocal written
            written = done
            show_progress(output.name, done, total or 0)

        try:
            if kind in ("csv", "ndjson"):
                with part.open("wb") as file:
                    file.writelines(client.text_pages(kind, series or None, progress=progress, **selection))
            else:
                frames = client.point_pages(series or None, progress=progress, **selection)
                write_frames(frames, part, kind)
            part.replace(output)
        except OSError as error:
            raise InputError(f"{output} cannot be written: {error.strerror or error}") from None
        finally:
            part.unlink(missing_ok=True)
    err.print(f"{output}: {written:,} rows", highlight=False, soft_wrap=True)


def write_frames(frames: "Iterator[pl.DataFrame]", path: Path, kind: str) -> None:
    """Write frames of one schema, one after the other, to a Parquet or an Arrow IPC file; holds a few at a time."""
    import polars as pl
    from polars.io.plugins import register_io_source

    first = next(frames)

    def pages(
        columns: list[str] | None, predicate: pl.Expr | None, count: int | None, size: int | None
    ) -> "Iterator[pl.DataFrame]":
        yield first  # the whole of every page: a sink asks for no columns, predicate or count
        yield from frames

    whole = register_io_source(pages, schema=first.schema)
    if kind == "parquet":
        whole.sink_parquet(path)
    else:
        whole.sink_ipc(path)
