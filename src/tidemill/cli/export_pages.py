"""The pages of an export on disk: what came so far, so that the same command goes on where it was ended.

Beside the file stands a folder `NAME.part` with a file for each page, and `state.json`, which is replaced after each
page. A folder of another question begins anew. Texts are joined as they are; frames need Polars.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from tidemill.client.documents import SeriesInfo

if TYPE_CHECKING:
    import polars as pl


class ExportedPage(msgspec.Struct, frozen=True):
    """A page: the number of its series in the export, and its rows."""

    series: int
    rows: int


class ExportState(msgspec.Struct, frozen=True):
    """How far an export has come. `question` and `series` (ids) say of what; `series_done` series are whole, `cursor`
    is that of the following page of the next one (null: its first page)."""

    question: str
    series: tuple[str, ...]
    series_done: int = 0
    cursor: str | None = None
    pages: tuple[ExportedPage, ...] = ()

    @property
    def rows(self) -> int:
        """The rows of all pages."""
        return sum(page.rows for page in self.pages)


class ExportPages:
    """The folder of an export."""

    def __init__(self, output: Path, question: str) -> None:
        self.folder = output.with_name(f"{output.name}.part")
        self._file = self.folder / "state.json"
        self._question = question

    def open(self, series: Sequence[str]) -> ExportState:
        """The state of an earlier run with the same question about the same series, else a new one."""
        try:
            state = msgspec.json.decode(self._file.read_bytes(), type=ExportState)
        except (OSError, msgspec.DecodeError):
            state = None
        if state is not None and (state.question, state.series) == (self._question, tuple(series)):
            return state
        self.remove()
        self.folder.mkdir()
        return ExportState(self._question, tuple(series))

    def add(self, state: ExportState, body: bytes, rows: int, following: str | None) -> ExportState:
        """Keep a page of the next series; `following` is the cursor of its next page (null: it was the last)."""
        number = len(state.pages)
        self._page(number).write_bytes(body)
        after = msgspec.structs.replace(
            state,
            series_done=state.series_done + (following is None),
            cursor=following,
            pages=(*state.pages, ExportedPage(state.series_done, rows)),
        )
        fresh = self.folder / "state.new"
        fresh.write_bytes(msgspec.json.encode(after))
        fresh.replace(self._file)
        return after

    def bodies(self, state: ExportState) -> Iterator[tuple[int, bytes]]:
        """The number of the series and the bytes of each page, in order."""
        for number, page in enumerate(state.pages):
            yield page.series, self._page(number).read_bytes()

    def remove(self) -> None:
        """Delete the folder, if it is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _page(self, number: int) -> Path:
        return self.folder / f"{number:06}.page"


def identity_columns(series: Sequence[SeriesInfo]) -> list[dict[str, str | None]]:
    """What tells the series of a file apart: `feed`, `field`, and `tag.NAME` for each tag that one of them has (null:
    this one has none of the name). Of a single series nothing."""
    if len(series) == 1:
        return [{}]
    tags = dict.fromkeys(name for info in series for name in sorted(info.tags))
    return [
        {"feed": info.feed, "field": info.field, **{f"tag.{name}": info.tags.get(name) for name in tags}}
        for info in series
    ]


def join_csv(pages: Iterator[tuple[int, bytes]], columns: Sequence[Mapping[str, str | None]], file: BinaryIO) -> None:
    """Write pages of CSV as one file, each row behind the columns of its series."""
    first = True
    for number, body in pages:
        head, _, rows = body.partition(b"\n")
        if first:
            file.write(_cells(list(columns[number])) + head + b"\n")
            first = False
        cells = _cells(list(columns[number].values()))
        file.writelines(cells + row + b"\n" for row in rows.splitlines()) if cells else file.write(rows)


def join_lines(pages: Iterator[tuple[int, bytes]], columns: Sequence[Mapping[str, str | None]], file: BinaryIO) -> None:
    """Write pages of JSON lines as one file, each with the columns of its series as its first members."""
    for number, body in pages:
        head = msgspec.json.encode(columns[number])[:-1] + b","
        file.writelines(head + line[1:] + b"\n" for line in body.splitlines()) if columns[number] else file.write(body)


def page_frames(
    pages: Iterator[tuple[int, bytes]], columns: Sequence[Mapping[str, str | None]], tz: str | None
) -> "Iterator[pl.DataFrame]":
    """The frames of Arrow pages, the columns of their series first."""
    import polars as pl

    from tidemill.client.frames import polars_frames

    library: Any = polars_frames()
    for number, body in pages:
        frame = library.read_page(body, tz)
        named = [pl.lit(value, pl.String).alias(name) for name, value in columns[number].items()]
        yield frame.select(*named, pl.all())


def _cells(texts: Sequence[str | None]) -> bytes:
    """Cells of CSV, each with its comma; null is an empty one."""
    return "".join("," if text is None else '"{}",'.format(text.replace('"', '""')) for text in texts).encode()
