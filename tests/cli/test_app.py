"""The command line: what it prints, and how it ends."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.cli.running import runner
from tests.support.server import CLOSED_PORT
from tidemill import __version__, cli, docs
from tidemill.catalog.keys import KeyRing
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.settings import Settings


def tidemill(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidemill.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={"NO_COLOR": "1", "COLUMNS": "160", "PATH": "/usr/bin:/bin"} | environment,
    )


def test_version() -> None:
    assert tidemill("version").stdout.strip() == __version__


def test_the_version_is_an_option_too() -> None:
    assert tidemill("--version").stdout == tidemill("version").stdout


@pytest.mark.parametrize(("wrong", "near"), [(["servr"], "serve"), (["feeds"], "feed"), (["key", "creat"], "create")])
def test_a_wrong_command_names_the_near_one(wrong: list[str], near: str) -> None:
    done = tidemill(*wrong)
    assert done.returncode == 2 and f"Did you mean '{near}'?" in done.stderr


@pytest.mark.parametrize("words", [name for name, _ in docs._walk("", get_command(cli.app))])
def test_every_help_text_has_an_example(words: str) -> None:
    (command,) = (command for name, command in docs._walk("", get_command(cli.app)) if name == words)
    assert f"`tidemill{words}" in (command.help or ""), f"tidemill{words} --help shows no example"


def test_without_a_command_it_explains_itself() -> None:
    done = tidemill()
    assert "serve" in done.stdout + done.stderr


def test_settings_lists_every_setting() -> None:
    listed = tidemill("settings").stdout
    for name in Settings.__struct_fields__:
        assert f"TIDEMILL_{name.upper()}" in listed
    assert "[source]" in listed  # which is no markup


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    done = tidemill("serve", "--data", str(tmp_path), "--listen", "8080")
    assert done.returncode == 2
    assert "HOST:PORT" in done.stderr


@pytest.mark.parametrize(("name", "value"), [("TIDEMILL_LOG_FORMAT", "xml"), ("TIDEMILL_LOG_LEVEL", "loud")])
def test_a_wrong_word_for_a_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    done = tidemill("serve", "--data", str(tmp_path), **{name: value})
    assert done.returncode == 2 and name.removeprefix("TIDEMILL_").lower() in done.stderr


def test_a_key_is_printed_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    done = tidemill(
        "key", "create", "--data", str(tmp_path), "--tenant", "acme", "--scope", "read,write", "--name", "ci"
    )
    secret = done.stdout.strip()
    assert done.returncode == 0
    assert secret.startswith("tm_")
    assert secret.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    principal = KeyRing(catalog).authenticate(secret)
    assert principal is not None
    assert (principal.tenant, principal.scopes) == ("acme", {"read", "write"})
    listed = tidemill("key", "list", "--data", str(tmp_path)).stdout
    assert principal.key_id in listed
    assert secret not in listed
    assert tidemill("key", "revoke", principal.key_id, "--data", str(tmp_path)).returncode == 0
    assert KeyRing(catalog).authenticate(secret) is None
    assert tidemill("key", "revoke", principal.key_id, "--data", str(tmp_path)).returncode == 1


@pytest.mark.parametrize(("tenant", "scope"), [("Acme!", "read"), ("acme", "root"), ("acme", "")])
def test_a_key_that_cannot_be_is_refused_with_the_reason(tmp_path: Path, tenant: str, scope: str) -> None:
    done = tidemill("key", "create", "--data", str(tmp_path), "--tenant", tenant, "--scope", scope)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip()


def test_a_fault_is_told_once(tmp_path: Path) -> None:
    told = tidemill("key", "create", "--data", str(tmp_path), "--tenant", "Acme!", "--scope", "read").stderr
    assert told.count("cannot be a tenant") == 1


COMMANDS: dict[str, Any] = dict(docs._walk("", get_command(cli.app)))
REMOTE = [words for words, command in COMMANDS.items() if any("--url" in option.opts for option in command.params)]
assert {" send", " query", " jobs list", " feed apply"} <= set(REMOTE)


@pytest.mark.parametrize("words", REMOTE)
def test_every_command_reads_the_address_and_the_key_of_the_shell(words: str) -> None:
    variables = {option.opts[0]: option.envvar for option in COMMANDS[words].params if option.opts}
    assert variables["--url"] == "TIDEMILL_URL"
    assert variables.get("--key", "TIDEMILL_KEY") == "TIDEMILL_KEY"


NOTHING_THERE = f"http://127.0.0.1:{CLOSED_PORT}"
AT_A_SERVER = [
    "jobs list", "jobs show x", "jobs cancel x", "replay list", "replay show x", "replay cancel x", "replay start f",
    "feed list", "feed versions f", "feed show f", "feed diff f 1 2", "feed remove f --keep-data", "source list",
    "source polls f", "receipts", "verify", "why --feed f --time 2026-01-01T00:00:00Z",
]  # fmt: skip


@pytest.mark.parametrize("words", AT_A_SERVER)
def test_a_server_that_does_not_answer_is_named_with_the_option(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = runner(monkeypatch, capsys, "")(*words.split(), "--url", NOTHING_THERE)
    assert done.status == 1 and f"No answer from {NOTHING_THERE}" in done.err and "--url or TIDEMILL_URL" in done.err


def test_who_waits_for_a_server_sees_at_once_that_none_answers() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    with subprocess.Popen(
        [sys.executable, "-m", "tidemill.cli", "tail", "pumps", "--url", NOTHING_THERE],
        stderr=subprocess.PIPE, text=True, env=environment,
    ) as waiting:  # fmt: skip
        assert waiting.stderr is not None
        said = waiting.stderr.readline()
        waiting.kill()
    assert "--url or TIDEMILL_URL" in said and "Trying again" in said
