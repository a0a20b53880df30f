"""`tidemill import`: sends the records of files to a feed, in order, and goes on where an earlier run was ended.

Maps options to calls: `client/files` reads, `client/ordered.py` sends, `import_run.py` puts both together,
`import_trial.py` is the dry run.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from tidemill.cli.common import DEFAULT_URL, AnyKeyOption, UrlOption, err
from tidemill.cli.points_options import check_choice
from tidemill.errors import InputError, TidemillError

_FILE_FAULT = 2


def import_files(
    paths: Annotated[
        list[str], typer.Argument(help="Files, folders, patterns; - is standard input.", metavar="PATH...")
    ],
    feed: Annotated[str, typer.Option(help="The feed that takes the records.")] = "",
    format: Annotated[
        str, typer.Option(help="The format of every file.", show_default="by its first bytes, else by its name")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: show the first records, and draft a feed.")
    ] = False,
    draft: Annotated[Path | None, typer.Option(help="Dry run: write the draft of a feed here.", metavar="FILE")] = None,
    limit: Annotated[int, typer.Option(help="Dry run: most records to show.", min=1, max=1000)] = 10,
    delimiter: Annotated[
        str, typer.Option(help="CSV: the sign between cells.", show_default="as the header shows")
    ] = "",
    columns: Annotated[
        str, typer.Option(help="CSV: the names of the columns, by commas.", show_default="the first line has them")
    ] = "",
    skip: Annotated[int, typer.Option(help="CSV: lines before the header.", min=0)] = 0,
    encoding: Annotated[str, typer.Option(help="CSV: such as latin-1.")] = "utf-8",
    precision: Annotated[
        str, typer.Option(help="Line protocol into an open feed: the unit of its times, ns, us, ms or s.")
    ] = "ns",
    label: Annotated[
        str, typer.Option(help="Of the same files, each label is an import of its own.", show_default="none")
    ] = "",
    wait: Annotated[float, typer.Option(help="Seconds to wait, at the end, until all is applied.", min=0)] = 60,
    patience: Annotated[float, typer.Option(help="Seconds to go on trying while the server is away.", min=0)] = 60,
    state: Annotated[
        Path | None,
        typer.Option(help="The folder that remembers what was sent.", show_default="~/.local/state/tidemill/imports"),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    key: AnyKeyOption = "",
) -> None:
    """Send the records of files to a feed: CSV, NDJSON, JSON, Parquet, Arrow, line protocol and dumps of
    `influx_inspect export`, Home Assistant's recorder database, Green Button XML; plain, gzip or zstd.

    The same command again goes on where it was ended, and sends nothing twice. A file that cannot be read, or not to
    its end, does not keep the others. Exit status 0: all was taken; 1: the server did not take the rest, run it again;
    2: a file or an option is at fault, and the message says what to do.

    Line protocol and dumps go into an open feed as they are, which is made if there is none of the name. For all else
    begin with `tidemill import --dry-run --draft meters.toml readings/`, look `meters.toml` through, then
    `tidemill feed apply meters.toml` and

    Example: `tidemill import --feed meters readings/`
    """
    from tidemill.cli.import_run import ImportRun, ImportTarget
    from tidemill.client.files.csv_file import CsvDialect
    from tidemill.client.files.formats import FORMATS
    from tidemill.client.files.inputs import list_inputs
    from tidemill.client.files.journal import ImportJournal, state_folder

    if format:
        check_choice("--format", format, FORMATS)
    check_choice("--precision", precision, ("ns", "us", "ms", "s"))
    try:
        "".encode(encoding)
    except LookupError:
        raise InputError(f"--encoding: there is no '{encoding}'; write it as utf-8 or latin-1") from None
    names = tuple(name.strip() for name in columns.split(",")) if columns else ()
    delimiter = "\t" if delimiter in ("\\t", "tab") else delimiter
    if len(delimiter) > 1:
        raise InputError(f"--delimiter is one sign, such as ';' or tab, not '{delimiter}'")
    dialect = CsvDialect(delimiter, "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding, names, skip)
    inputs, others = list_inputs(paths)
    if others:
        shown = ", ".join(path.name for path in others[:3])
        text = f"Passed over {len(others)} of unknown names ({shown}); name them, with --format, to import them."
        err.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)
    if not inputs:
        raise InputError("There is no file to import: a folder is searched for the ends of names that are known")
    if dry_run:
        from tidemill.cli.import_trial import show_trial

        show_trial(inputs[0], format, dialect, feed=feed, draft=draft, limit=limit, url=url, key=key)
        return
    if not feed:
        raise InputError("Say which feed takes the records: --feed NAME. `tidemill import --dry-run` drafts one.")
    target = ImportTarget(url, key, feed, patience, precision)
    with ImportJournal(state or state_folder(os.environ), url.rstrip("/"), key, feed, label) as journal:
        run = ImportRun(target, journal, label)
        run.check_feed(inputs, format)
        try:
            faults = run.send_files(inputs, format, dialect)
        except TidemillError:
            run.show_counts()
            raise
        run.show_outcome(wait)
    for fault in faults:
        err.print(fault, style="red", highlight=False, markup=False, soft_wrap=True)
    if faults:
        raise typer.Exit(_FILE_FAULT)
