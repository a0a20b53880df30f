"""Runs the commands of backups as a person would, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

DONE_S = 110


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tidemill.cli", *map(str, arguments)]


def tidemill(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    environment.pop("TIDEMILL_DATA", None)
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=DONE_S, env=environment
    )


def back_up(data: Path, to: Path) -> Path:
    """Make a backup, which must succeed; where it is."""
    done = tidemill("backup", "--data", data, "--to", to)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


def flip(path: Path) -> None:
    """Change one byte in the middle of a file; twice changes nothing."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
