"""Write the sha256 of every wheel that pip would take into the pinned requirements, so that pip refuses any other file.

`.venv/bin/python scripts/pins.py FILE...` asks pip, for each Python and machine below, which wheel it takes for each
pin of the files (nothing is installed), and writes names, versions and hashes back. pip's own configuration is left
out, so that files which lie on this machine do not count.
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


def pins(files: list[Path]) -> dict[Path, list[str]]:
    """`name==version` of each file, without hashes."""
    return {file: sorted(re.findall(r"^[\w.-]+==[\w.+!-]+", file.read_text(), re.M)) for file in files}


def hashes(wanted: list[str], python: str, machine: str) -> dict[str, str]:
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
        f"{spelt(one['metadata']['name'])}=={one['metadata']['version']}": one["download_info"]["archive_info"][
            "hashes"
        ]["sha256"]
        for one in taken
    }


def spelt(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(files: list[Path]) -> None:
    """Write the hashes into these files. Raises CalledProcessError where pip finds no wheel."""
    wanted = pins(files)
    every = sorted(set().union(*wanted.values()))
    known: dict[str, set[str]] = {pin: set() for pin in every}
    for python in PYTHONS:
        for machine in MACHINES:
            for pin, sha256 in hashes(every, python, machine).items():
                known[pin].add(sha256)
            print(f"asked for Python {python} on {machine}", file=sys.stderr)
    for file, names in wanted.items():
        lines = [" \\\n    ".join([pin, *(f"--hash=sha256:{one}" for one in sorted(known[pin]))]) for pin in names]
        file.write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
