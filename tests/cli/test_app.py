"""The command line: what it prints, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

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
