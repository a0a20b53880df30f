"""Writes the sha256 of each wheel that pip would install into the pinned requirements: pip then refuses other files.

`.venv/bin/python scripts/pins.py FILE...` asks pip, for each Python and machine below, which wheel it takes for each
pin of the files (it installs nothing), and writes names, versions and hashes. pip's own configuration is left out, so
that wheels on this machine are not used.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

PYTHONS: Final = ("3.11", "3.12", "3.13")
MACHINES: Final = ("x86_64", "aarch64")
LIBC: Final = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in range(17, 40)))
HEAD: Final = "# Made by scripts/pins.py: pip refuses any file that is none of these.\n"


def read_pins(files: list[Path]) -> dict[Path, list[str]]:
    """`name==version` of each file, without hashes."""
    return {file: sorted(re.findall(r"^[\w.-]+==[\w.+!-]+", file.read_text(), re.M)) for file in files}


def wheel_hashes(wanted: list[str], python: str, machine: str) -> dict[str, str]:
    """The sha256 of the wheel for each pin, by its name in pip's spelling."""
    with tempfile.TemporaryDirectory() as scratch:
        report, names = Path(scratch) / "report.json", Path(scratch) / "pins.txt"
        names.write_text("\n".join(wanted))
        options = ["--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--implementation=cp"]
        options += [f"--platform={libc}_{machine}" for libc in LIBC] + [f"--python-version={python}"]
        options += [f"--target={scratch}", f"--report={report}", "--quiet", "--requirement", str(names)]
        environment = os.environ | {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
        subprocess.run([sys.executable, "-m", "pip", "install", *options], env=environment, check=True)
        taken = json.loads(report.read_text())["install"]
    return {
        f"{normalized_name(wheel['metadata']['name'])}=={wheel['metadata']['version']}": wheel["download_info"][
            "archive_info"
        ]["hashes"]["sha256"]
        for wheel in taken
    }


def normalized_name(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write_hashes(files: list[Path]) -> None:
    """Write the hashes into these files. Raises CalledProcessError where pip finds no wheel."""
    wanted = read_pins(files)
    every = sorted(set().union(*wanted.values()))
    hashes_by_pin: dict[str, set[str]] = {pin: set() for pin in every}
    for python in PYTHONS:
        for machine in MACHINES:
            for pin, sha256 in wheel_hashes(every, python, machine).items():
                hashes_by_pin[pin].add(sha256)
            print(f"read the wheels for Python {python} on {machine}", file=sys.stderr)
    for file, names in wanted.items():
        lines = [
            " \\\n    ".join([pin, *(f"--hash=sha256:{sha256}" for sha256 in sorted(hashes_by_pin[pin]))])
            for pin in names
        ]
        file.write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    write_hashes([Path(name) for name in sys.argv[1:]])
