"""Prints the banner of `tidemill serve`: the page's address, who may read, where the data is, and commands to try."""

import shutil
import sys
import threading
import time
from pathlib import Path

from rich.console import Console

from tidemill.readiness import read_readiness
from tidemill.settings import Settings

_DEFAULT_URL = "http://127.0.0.1:8080"
_TRY = """
  Try it, in another terminal:
    curl -X PUT -H 'Prefer: wait=5' {url}/location{key} -d '{{"timestamp": "2017-01-01 13:05:12", "lat": 40.701, \
"long": -73.916, "accuracy": 11.3, "speed": 1.4, "user_id": "a1"}}'
    curl "{url}/v1/feeds/location/rollups?user_id=a1"{key}
    {command} why --feed location --tag user_id=a1 --field speed --time 2017-01-01T18:05:12Z{option}
"""


def announce_when_ready(console: Console, url: str, settings: Settings, *, open_access: bool) -> None:
    """Print the banner in a thread, as soon as `/readyz` answers 200."""
    arguments = (console, url, settings, open_access, time.monotonic())
    threading.Thread(target=_announce, args=arguments, name="banner", daemon=True).start()


def _announce(console: Console, url: str, settings: Settings, open_access: bool, started: float) -> None:
    while not _ready(url):
        time.sleep(0.1)
    took_s = time.monotonic() - started
    console.print(f"\n  Tidemill is ready: [bold]{url}[/bold]  ({took_s:.1f} s)", highlight=False, soft_wrap=True)
    for line in banner_lines(url, settings, open_access=open_access):
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    key = "" if open_access else ' -H "Authorization: Bearer $TIDEMILL_KEY"'
    option = "" if url == _DEFAULT_URL else f" --url {url}"
    text = _TRY.format(url=url, key=key, command=command_path(), option=option)
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def banner_lines(url: str, settings: Settings, *, open_access: bool) -> list[str]:
    """What a reader needs to know of this server: access, folder, pages, and how the command is called."""
    access = (
        "Open: only this machine reaches it, and no key exists (tidemill key create makes the first)."
        if open_access
        else "Closed: every request needs a key."
    )
    variable = "" if url == _DEFAULT_URL else f"export TIDEMILL_URL={url}"
    activate = "" if _is_on_path() else f". {_in_venv('activate')}"
    first = " && ".join(filter(None, (activate, variable)))
    return [
        access,
        f"Pages: {url}/ (what comes in, and every series), {url}/docs (every request, with examples)",
        f"Data:  {settings.folder}",
        f"Command: {first + ' && ' if first else ''}tidemill --help",
        "Ctrl-C ends it.",
    ]


def command_path() -> str:
    """How the shell that started this server calls the `tidemill` command."""
    return "tidemill" if _is_on_path() else str(_in_venv("tidemill"))


def _is_on_path() -> bool:
    return shutil.which("tidemill") is not None


def _in_venv(name: str) -> Path:
    """A file of this environment's `bin`, relative to the working folder where that is above it."""
    path, folder = Path(sys.prefix) / "bin" / name, Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _ready(url: str) -> bool:
    try:
        return read_readiness(url, 2).get("ready") is True
    except (OSError, ValueError):
        return False
