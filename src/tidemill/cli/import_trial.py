"""The dry run of `tidemill import`: the first records of a file, what a feed would make of them, or a draft of a feed.

It drafts, previews and prints with what `tidemill source try` uses. Without the server's packages only the records are
shown.
"""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
from rich.text import Text

from tidemill.cli.common import err, out
from tidemill.cli.points_options import open_client
from tidemill.client.files.chunks import JSON, NDJSON, FileChunk
from tidemill.client.files.csv_file import CsvDialect
from tidemill.client.files.formats import file_format, read_chunks
from tidemill.client.files.inputs import InputFile
from tidemill.errors import InputError, MissingPackageError

_SAMPLE_BYTES: Final = 1 << 20
_SHOWN: Final = 200  # characters of a record


def show_trial(
    file: InputFile,
    wanted: str,
    dialect: CsvDialect,
    *,
    feed: str,
    draft: Path | None,
    limit: int,
    url: str,
    key: str,
) -> None:
    """Print the first records of a file; and with `feed` what that feed of the server would make of them, else the
    draft of a feed (to the file `draft`, if that is given). Raises InputError."""
    if draft is not None and (feed or draft.exists()):
        why = "a draft is made without --feed" if feed else f"{draft} exists already"
        raise InputError(f"--draft: {why}")
    kind = file_format(file, wanted)
    chunk = next(read_chunks(file, kind, dialect), None)
    if chunk is None:
        raise InputError(f"{file.name} has no record")
    sample = _sample(chunk)
    out.print(Text(f"{file.name}: {kind}, sent as {chunk.content_type}; it begins:", style="bold"), soft_wrap=True)
    for line in sample.splitlines()[:limit]:
        text = line.decode("utf-8", "replace")
        out.print(Text(f"  {text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'}"), soft_wrap=True)
    if find_spec("polars") is None:
        if draft is not None or feed:
            raise MissingPackageError("To draft a feed or to try one needs the server: pip install 'tidemill[server]'")
        text = "To draft a feed here: pip install 'tidemill[server]'; or paste these records at New feed of the page."
        err.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)
        return
    if feed:
        _show_feed(sample, chunk, feed, limit, url, key)
    else:
        _show_draft(file, sample, chunk, limit, draft)


def _sample(chunk: FileChunk) -> bytes:
    """The first records of a chunk: whole lines, or the document."""
    if chunk.content_type == JSON or len(chunk.body) <= _SAMPLE_BYTES:
        return chunk.body
    return chunk.body[: chunk.body.rfind(b"\n", 0, _SAMPLE_BYTES) + 1] or chunk.body


def _show_feed(sample: bytes, chunk: FileChunk, name: str, limit: int, url: str, key: str) -> None:
    from tidemill.feeds.load import load_feed

    with open_client(url, key) as client:
        document = client.request("GET", f"/v1/feeds/{quote(name, safe='')}")
    if document["text"] is None:
        raise InputError("To try a feed needs a key with the scope admin: only such a key reads the definition")
    feed = load_feed(document["text"], source=name, environment={}, with_source=False)
    _show_preview(feed, sample, chunk, limit)


def _show_draft(file: InputFile, sample: bytes, chunk: FileChunk, limit: int, draft: Path | None) -> None:
    from tidemill.cli import trial_output
    from tidemill.cli.source_trial import TrialResult
    from tidemill.feeds.load import load_feed
    from tidemill.sources.draft import DraftOptions, draft_feed, feed_name
    from tidemill.sources.structure import guess_structure

    structure = guess_structure(sample)
    if structure is None:
        raise InputError(f"{file.name}: no object is in its first records; write a feed and try it with --feed")
    if chunk.content_type == NDJSON:
        structure = msgspec.structs.replace(structure, format="ndjson")  # also where the file has one record only
    stem = file.path.stem if file.path else "import"
    options = DraftOptions(name=feed_name(f"file:///{quote(stem)}.x"), title=f"Imported from {Path(file.name).name}")
    text = draft_feed("", structure, options)
    trial_output.show_structure(TrialResult(structure))
    if text is None:
        raise InputError(
            f"{file.name}: nothing in its records looks like a number; write a feed, and try it with --feed"
        )
    _show_preview(load_feed(text, source="the draft", environment={}), sample, chunk, limit)
    trial_output.show_draft(text, draft)


def _show_preview(feed: Any, sample: bytes, chunk: FileChunk, limit: int) -> None:
    from tidemill.cli.trial_output import show_preview
    from tidemill.sources.preview import preview_answer

    preview = preview_answer(feed, sample, chunk.content_type or NDJSON, time.time_ns(), limit)
    if preview is None:
        formats = ", ".join(feed.input.formats)
        raise InputError(f"The feed takes {formats}, and these records are sent as {chunk.content_type}")
    show_preview(preview, limit)
