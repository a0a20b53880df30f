"""`tidemill export`: writes the points of one or several series, or of a whole feed, to a file, page by page.

The same command again goes on where it was ended (`export_pages.py`).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import msgspec
import typer

from tidemill.cli.common import DEFAULT_URL, AnyKeyOption, ShowProgress, UrlOption, err, progress_bar
from tidemill.cli.export_pages import (
    ExportPages,
    ExportState,
    identity_columns,
    join_csv,
    join_lines,
    page_frames,
)
from tidemill.cli.points_options import (
    AggOption,
    EndOption,
    EveryOption,
    FeedOption,
    FieldOption,
    StartOption,
    TagOption,
    ZoneOption,
    check_choice,
    open_client,
    parse_tags,
)
from tidemill.crash_points import reach
from tidemill.errors import InputError, MissingPackageError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from tidemill.client import SeriesInfo, Tidemill
    from tidemill.client.selection import PointSelection

_FORMATS: Final = ("csv", "ndjson", "parquet", "arrow")
_OF_FRAMES: Final = ("parquet", "arrow")
_EXPORT_PATIENCE_S: Final = 60.0
_MOST_SERIES: Final = 100_000


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    series: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of series; or name them by --feed, --field and --tag.", metavar="[SERIES]..."),
    ] = None,
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
    """Write the points of series to a file, raw or over windows: of one, several, or a whole feed (`--feed` alone).

    Several series stand one after the other, with their feed, field and tags in columns of each row. The file has its
    name only when it is whole; until then `NAME.part` holds what came, and the same command again goes on there.
    Exit status 1: the server did not answer, run it again; 2: an option is at fault, or the file cannot be written.

    Example: `tidemill export --feed location --field speed --tag user_id=a1 -o speed.parquet`
    """
    kind: Any = format or output.suffix.removeprefix(".")
    check_choice("--format" if format else "The end of the file's name", kind, _FORMATS)
    if kind in _OF_FRAMES and find_spec("polars") is None:
        raise MissingPackageError(f"A file of {kind} needs Polars: pip install polars. csv and ndjson do without.")
    if bool(series) == bool(feed) or (series and (field or tag)):
        raise InputError("Name series by their ids, or with --feed, --field and --tag; not by both.")
    options = {"start": start, "end": end, "every": every, "agg": agg, "tz": tz}
    selection = cast("PointSelection", {name: text for name, text in options.items() if text})
    with open_client(url, key, patience_s=_EXPORT_PATIENCE_S) as client, progress_bar() as show_progress:
        infos = _chosen(client, series or [], feed, field, tag)
        pages = ExportPages(output, msgspec.json.encode([url, kind, selection]).decode())
        try:
            state = _fetch(client, pages, infos, selection, kind, show_progress)
            part = output.with_name(f"{output.name}.new")
            try:
                _write(pages, state, infos, part, kind, tz or None)
                part.replace(output)
            finally:
                part.unlink(missing_ok=True)
            pages.remove()
        except OSError as error:
            raise InputError(f"{output} cannot be written: {error.strerror or error}") from None
    of = f" of {len(infos)} series" if len(infos) > 1 else ""
    err.print(f"{output}: {state.rows:,} rows{of}", highlight=False, soft_wrap=True)


def _chosen(
    client: "Tidemill", ids: "Sequence[str]", feed: str, field: str, tags: "Sequence[str] | None"
) -> "list[SeriesInfo]":
    """The series to write, by field and tags, or as their ids are given. Raises NotFoundError."""
    from tidemill.client import SeriesInfo

    if ids:
        documents = [client.request("GET", f"/v1/series/{id}") for id in dict.fromkeys(ids)]
        return [msgspec.convert(document, SeriesInfo) for document in documents]
    wanted = parse_tags(tags)
    infos = client.series(feed=feed, field=field or None, tags=wanted)
    if not infos:
        named = " ".join(filter(None, (field, *(f"{name}={value}" for name, value in wanted.items()))))
        raise NotFoundError(f"There is no series of feed '{feed}'{f' with {named}' if named else ''}.")
    if len(infos) > _MOST_SERIES:
        raise InputError(f"{len(infos):,} series are more than one file takes ({_MOST_SERIES:,}): choose by --tag.")
    return infos


def _fetch(
    client: "Tidemill",
    pages: ExportPages,
    infos: "Sequence[SeriesInfo]",
    selection: "PointSelection",
    kind: str,
    show_progress: ShowProgress,
) -> ExportState:
    """Fetch what an earlier run has not; returns the state of the whole. Raises UnavailableError."""
    from tidemill.client.selection import is_whole

    form: Any = "arrow" if kind in _OF_FRAMES else kind
    total = sum(info.count for info in infos) if is_whole(selection) else 0
    state = pages.open([info.id for info in infos])
    try:
        while state.series_done < len(infos):
            id = infos[state.series_done].id
            show_progress(f"series {state.series_done + 1} of {len(infos)}", state.rows, total)
            body, following = client.points_page(id, form, cursor=state.cursor, **selection)
            state = pages.add(state, body, _rows(body, kind), following)
            reach("export.page")
    except UnavailableError as error:
        message = f"{error.message} Run the same command again: {state.rows:,} rows are kept in {pages.folder}."
        raise UnavailableError(message, error.retry_after_s) from None
    finally:
        if not state.pages:
            pages.remove()
    return state


def _rows(body: bytes, kind: str) -> int:
    """The rows of a page."""
    if kind in _OF_FRAMES:
        import polars as pl

        return pl.read_ipc_stream(body).height
    return body.count(b"\n") - (kind == "csv")


def _write(
    pages: ExportPages, state: ExportState, infos: "Sequence[SeriesInfo]", path: Path, kind: str, tz: str | None
) -> None:
    columns: Sequence[Mapping[str, str | None]] = identity_columns(infos)
    if kind in _OF_FRAMES:
        write_frames(page_frames(pages.bodies(state), columns, tz), path, kind)
        return
    with path.open("wb") as file:
        join = join_csv if kind == "csv" else join_lines
        join(pages.bodies(state), columns, file)


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
