"""Runs the `tidemill` command in this process, as a person would call it."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tidemill import cli
from tidemill.cli.common import err, out


class Done(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], group: str) -> Run:
    """A function that runs `tidemill <group> ...` and says how it ended and what it printed."""
    for name in ("TIDEMILL_KEY", "TIDEMILL_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["tidemill", *group.split(), *map(str, arguments)])
        out.width = err.width = 160
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return run
