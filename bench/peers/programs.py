"""Finds the programs of the peers, or unpacks Debian's packages of them into a folder: nothing is installed or changed
outside of it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "build" / "peers"


class MissingProgramError(Exception):
    """A program that is neither here nor to be had; the message says why."""


def program(name: str, package: str) -> Path:
    """The path of a program, from the system or from Debian's `package`. Raises MissingProgramError."""
    found = shutil.which(name) or shutil.which(name, path=str(FOLDER / "usr" / "bin"))
    if found:
        return Path(found)
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise MissingProgramError(f"there is no `{name}`, and no apt-get to fetch Debian's package {package} with")
    downloads = FOLDER / "packages"
    downloads.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:  # whom apt lets refresh its lists
        _run(["apt-get", "update", "-qq"], downloads)
    _run(["apt-get", "download", "-qq", package], downloads)
    for file in downloads.glob(f"{package}_*.deb"):
        _run(["dpkg-deb", "--extract", str(file), str(FOLDER)], downloads)
    found = shutil.which(name, path=str(FOLDER / "usr" / "bin"))
    if not found:
        raise MissingProgramError(f"Debian's package {package} could not be fetched, or has no `{name}`")
    return Path(found)


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingProgramError(f"{' '.join(command[:2])}: {error}") from None
    if done.returncode:
        raise MissingProgramError(f"{' '.join(command[:2])}: {done.stderr.strip()[-300:]}")
