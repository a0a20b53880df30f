"""`tidemill backup` and `tidemill restore`: whole copies of a data folder, with or without a server running on it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.progress import DownloadColumn
from rich.table import Table

from tidemill.cli.common import DataOption, ShowProgress, err, open_catalog, out, progress_bar
from tidemill.errors import StartupError
from tidemill.settings import load_settings

if TYPE_CHECKING:
    from tidemill.backup.manifest import Manifest
    from tidemill.backup.moment import HoldMill
    from tidemill.mill.backup_hold import Held

_NICE: Final = 10  # acknowledging comes before copying
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")

app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")

PathArgument = Annotated[
    Path, typer.Argument(help="A backup, an archive, or a folder of backups (then its newest).", show_default=False)
]


@app.callback()
def backup(
    context: typer.Context,
    to: Annotated[
        Path | None,
        typer.Option(help="A folder of backups, or a file *.tar.zst.", show_default=False),
    ] = None,
    data: DataOption = None,
) -> None:
    """Back up everything in a data folder: log, catalog, store.

    A server may run on it: it goes on acknowledging, its mill pauses for a moment. In a folder of backups, what the
    newest one has already takes no space again, and each is whole by itself. A backup holds keys and data, also what is
    deleted later: it is readable by you alone, keep it so. Example: `tidemill backup --data data --to /backups`
    """
    if context.invoked_subcommand is not None:
        return
    if to is None:
        raise StartupError("Say where to put the backup: --to FOLDER or --to FILE.tar.zst (see --help).")
    from tidemill.backup.moment import is_served
    from tidemill.backup.take import take_backup

    open_catalog(data, make=False).close()
    folder = load_settings({"data": data}).folder
    os.nice(_NICE)
    begun = time.monotonic()
    with progress_bar(DownloadColumn()) as progress:
        still: HoldMill = _held_mill(folder) if is_served(folder) else freeze_stopped(folder)
        report = take_backup(folder, to, still, progress)
    made = report.manifest
    shared = f", {format_size(report.shared)} of it shared with {report.base}" if report.base else ""
    took = f"Made in {time.monotonic() - begun:.1f} s; applying paused for {report.held_s:.2f} s."
    err.print(f"{_about(made)}{shared}.\n{took}", highlight=False, markup=False, soft_wrap=True)
    print(report.path)


@app.command("verify")
def verify_backup(path: PathArgument) -> None:
    """Read every byte of a backup and compare it with what was written, and have SQLite check its databases.

    Exit status 0: it is whole; 1: it is damaged, and each damaged file is named.
    Example: `tidemill backup verify /backups`
    """
    from tidemill.backup.restore import damaged_error
    from tidemill.backup.stored import check_backup, open_backup

    begun = time.monotonic()
    stored = open_backup(path)
    with progress_bar(DownloadColumn()) as progress:
        manifest, damages = check_backup(stored, _counting(progress, _total(path)))
    if damages:
        raise damaged_error(stored.path, damages)
    out.print(f"{stored.path} is whole.", highlight=False, markup=False, soft_wrap=True)
    out.print(f"{_about(manifest)}. Checked in {time.monotonic() - begun:.1f} s.", highlight=False, soft_wrap=True)


@app.command("list")
def list_backups(path: Annotated[Path, typer.Argument(help="A folder of backups.", show_default=False)]) -> None:
    """List the whole backups in a folder, oldest first, without checking them. One that broke off is not among them.

    Example: `tidemill backup list /backups`
    """
    from tidemill.backup.manifest import MANIFEST_FILE
    from tidemill.backup.stored import open_backup

    table = Table("backup", "as of", "log to offset", "size", "files", box=None)
    for file in sorted(path.glob(f"[!.]*/{MANIFEST_FILE}")):
        made = open_backup(file.parent).manifest()
        table.add_row(
            file.parent.name, made.made_at, f"{made.handed_out:,}", format_size(made.bytes), f"{len(made.files):,}"
        )
    out.print(table)


def restore(
    path: PathArgument,
    data: DataOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Move a folder that is not empty aside first; nothing is deleted.")
    ] = False,
) -> None:
    """Put a backup back as a data folder, checking every byte on the way.

    The folder is then as it was at the moment of the backup: what was sent or deleted later is not in it. Its log goes
    on far above, so that no offset is handed out twice. Example: `tidemill restore /backups --data data`
    """
    from tidemill.backup.restore import restore_backup as put_back
    from tidemill.backup.stored import open_backup

    begun = time.monotonic()
    folder = load_settings({"data": data}).folder
    stored = open_backup(path)
    with progress_bar(DownloadColumn()) as progress:
        restored = put_back(stored, folder, force=force, progress=_counting(progress, _total(path)))
    if restored.aside is not None:
        err.print(f"What was there is now in {restored.aside}", highlight=False, markup=False, soft_wrap=True)
    took = f"Restored in {time.monotonic() - begun:.1f} s from {stored.path}."
    out.print(f"{took}\n{_about(restored.manifest)}.", highlight=False, markup=False, soft_wrap=True)
    out.print(
        f"Next:  tidemill verify --data {folder}\n       tidemill serve --data {folder}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def format_size(count: int) -> str:
    """A number of bytes for people: `512 bytes`, `1.5 MiB`."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} bytes"


def _about(manifest: "Manifest") -> str:
    waiting = f" ({manifest.waiting:,} of it to be applied yet)" if manifest.waiting else ""
    return (
        f"As of {manifest.made_at}: the log to offset {manifest.handed_out:,}{waiting}, "
        f"{format_size(manifest.bytes)} in {len(manifest.files):,} files"
    )


def _held_mill(folder: Path) -> "HoldMill":
    from tidemill.backup.moment import held_mill

    return lambda: held_mill(folder)


def freeze_stopped(folder: Path) -> "HoldMill":
    """A `Still` for a folder without a server: an engine is started on it, which freezes the tables."""
    from tidemill.cli.offline import open_store
    from tidemill.mill.backup_hold import Held
    from tidemill.mill.state_files import mill_states
    from tidemill.store.freeze import freeze_tables

    @contextmanager
    def still() -> "Iterator[Held]":
        with open_store(folder) as store:
            begun = time.monotonic()
            engine = freeze_tables(store)
            checkpoint = mill_states(folder, 1)[0].progress().checkpoint
            yield Held("", checkpoint, engine, time.monotonic() - begun)

    return still


def _total(path: Path) -> int:
    """How many bytes a backup holds; 0 for an archive, which shows it only at its end."""
    from tidemill.backup.stored import StoredFolder, open_backup

    stored = open_backup(path)
    return stored.manifest().bytes if isinstance(stored, StoredFolder) else 0


def _counting(progress: ShowProgress, total: int) -> Callable[[int], None]:
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        progress("reading", done, total)

    return add
