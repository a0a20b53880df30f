"""Runs the blocks of a page of docs as they stand, and compares what they print with what the page shows beneath."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n(?:```(?:text|json)\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
SHOWN_URL = "http://127.0.0.1:8080"


def check_page(page: Path, url: str, folder: Path) -> None:
    """Fails at the first block that ends with an error or prints something else. White space does not count, and `…`
    stands for anything. Blocks of Python share their names; those of a shell run in `folder`, where `$URL` is set."""
    names: dict[str, Any] = {}
    blocks = BLOCK.findall(page.read_text("utf-8"))
    assert blocks, f"{page} has no block"
    for kind, source, shown in blocks:
        printed = run_in_shell(source, url, folder) if kind == "sh" else run_here(source.replace(SHOWN_URL, url), names)
        expected = ".*?".join(map(re.escape, squeezed(shown.replace(SHOWN_URL, url)).split("…")))
        assert not shown or re.fullmatch(expected, squeezed(printed), re.DOTALL), f"{source}\nprints\n{printed}"
    if "tidemill" in names:
        names["tidemill"].close()


def squeezed(text: str) -> str:
    return "".join(text.split())


def run_here(source: str, names: dict[str, Any]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "<page>", "exec"), names)
    return output.getvalue()


def run_in_shell(command: str, url: str, folder: Path) -> str:
    """What a command prints, standard error among it, in a shell as `make shell` makes one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")} | {
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "TIDEMILL_URL": url,
        "URL": url,
        "COLUMNS": "160",
        "NO_PROXY": "*",
        "CURL_HOME": str(folder),
        "XDG_STATE_HOME": str(folder),
    }
    (folder / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n")
    shell = ["bash", "-e", "-o", "pipefail", "-c", command]
    done = subprocess.run(
        shell, cwd=folder, env=environment, stdout=-1, stderr=subprocess.STDOUT, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout
