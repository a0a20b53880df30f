"""The command line: what it prints, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from tidemill import __version__
from tidemill.catalog.keys import KeyRing
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.feeds.recipes import RECIPES
from tidemill.settings import Settings


def tidemill(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidemill.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={"NO_COLOR": "1", "COLUMNS": "160", "PATH": "/usr/bin:/bin"},
    )


def test_version() -> None:
    assert tidemill("version").stdout.strip() == __version__


def test_without_a_command_it_explains_itself() -> None:
    done = tidemill()
    assert "serve" in done.stdout + done.stderr


def test_settings_lists_every_setting() -> None:
    listed = tidemill("settings").stdout
    for name in Settings.__struct_fields__:
        assert f"TIDEMILL_{name.upper()}" in listed


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    done = tidemill("serve", "--data", str(tmp_path), "--listen", "8080")
    assert done.returncode == 2
    assert "HOST:PORT" in done.stderr


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


def test_a_new_tenant_starts_with_the_recipes(tmp_path: Path) -> None:
    tidemill("key", "create", "--data", str(tmp_path), "--tenant", "acme", "--scope", "read")
    listed = tidemill("feed", "list", "--data", str(tmp_path), "--tenant", "acme").stdout
    for name in RECIPES:
        assert name in listed


def test_a_feed_is_shown_as_it_was_written_and_applied_as_a_new_version(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    assert tidemill("feed", "show", "location", *data).returncode == 2  # no such folder: not made by looking
    tidemill("key", "create", *data, "--tenant", "default", "--scope", "read")
    shown = tidemill("feed", "show", "location", *data)
    assert shown.stdout == RECIPES["location"]
    changed = tmp_path / "location.toml"
    changed.write_text(shown.stdout.replace('every = "1m"', 'every = "5m"'))
    applied = tidemill("feed", "apply", str(changed), *data)
    assert "version 2" in applied.stdout
    assert tidemill("feed", "apply", str(changed), *data).stdout == applied.stdout  # the same text: no new version
    assert 'every = "5m"' in tidemill("feed", "show", "location", *data).stdout


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_passes_its_check(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.toml"
    file.write_text(RECIPES[name])
    done = tidemill("feed", "check", str(file))
    assert (done.returncode, done.stderr) == (0, "")


def test_every_fault_of_a_feed_is_explained_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('name = "bad"\n[time]\npath = "when"\n[fields.x]\npath = "$.x"\nrequred = true\nmin = "low"\n')
    done = tidemill("feed", "check", str(file))
    assert done.returncode == 2
    assert f"{file}:3" in done.stderr  # a path begins with $
    assert f"{file}:6" in done.stderr
    assert "required" in done.stderr  # did you mean
    assert f"{file}:7" in done.stderr
    assert tidemill("feed", "apply", str(file), "--data", str(tmp_path)).returncode == 2


def test_a_fault_is_told_once(tmp_path: Path) -> None:
    told = tidemill("key", "create", "--data", str(tmp_path), "--tenant", "Acme!", "--scope", "read").stderr
    assert told.count("cannot be a tenant") == 1


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = tidemill("feed", "check", str(tmp_path / "none.toml"))
    assert done.returncode == 2
    assert "none.toml" in done.stderr
