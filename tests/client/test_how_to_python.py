"""Every block of the page for Python and the shell is run as it stands, at a server, and prints what the page shows."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.api import Api

PAGE = Path(__file__).parents[2] / "docs/how-to/python.md"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
SHOWN_URL = "http://127.0.0.1:8080"


def squeezed(text: str) -> str:
    return "".join(text.split())


def run_in_shell(command: str, url: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")} | {
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "TIDEMILL_URL": url,
        "COLUMNS": "160",
    }
    shell = ["bash", "-e", "-c", command]
    done = subprocess.run(
        shell, cwd=folder, env=environment, stdout=-1, stderr=subprocess.STDOUT, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def run_page(page: Path, url: str, folder: Path) -> None:
    """Run every block of a page at a server, one after the other."""
    names: dict[str, Any] = {}
    blocks = BLOCK.findall(page.read_text("utf-8"))
    assert {kind for kind, _, _ in blocks} == {"python", "sh"}
    for kind, source, shown in blocks:
        if kind == "sh":
            printed = run_in_shell(source, url, folder)
        else:
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(source.replace(SHOWN_URL, url), "<page>", "exec"), names)
            printed = output.getvalue()
        expected = ".*?".join(map(re.escape, squeezed(shown.replace(SHOWN_URL, url)).split("…")))
        assert re.fullmatch(expected, squeezed(printed), re.DOTALL), f"{source}\nprints\n{printed}"
    names["tidemill"].close()


def test_every_block_prints_what_the_page_shows(whole: Api, tmp_path: Path) -> None:
    run_page(PAGE, whole.url, tmp_path)
