"""`tidemill feed ...`: what it prints and how it ends, in a data folder and at a server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Run, runner
from tests.support.api import Api, running_api
from tidemill.catalog.keys import create_key
from tidemill.feeds.recipes import RECIPES

PUMPS = 'name = "pumps"\n[time]\npath = "$.t"\n[fields.bar]\npath = "$.bar"\nunit = "bar"\n'
BAD = 'name = "bad"\n[time]\npath = "when"\n[fields.x]\npath = "$.x"\nrequred = true\nmin = "low"\n'


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run `tidemill feed ...` in this process."""

    umask = os.umask(0o077)
    yield runner(monkeypatch, capsys, "feed")
    os.umask(umask)


@pytest.fixture
def data(tmp_path: Path, feed: Run) -> tuple[str, str]:
    """The options of a data folder that has the recipes."""
    options = ("--data", str(tmp_path / "data"))
    pumps = tmp_path / "first.toml"
    pumps.write_text(PUMPS)
    assert feed("apply", pumps, *options) == (0, "Feed 'pumps' is at version 1: a new feed.\n", "")
    return options


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("cli"), open_access=False) as running:
        yield running


@pytest.fixture(scope="module")
def at_server(server: Api) -> tuple[str, ...]:
    _, secret = create_key(server.services.catalog, "default", ["admin"])
    server.services.keys.refresh()
    return ("--url", server.url, "--key", secret)


def test_the_list_has_every_feed_with_its_version(feed: Run, data: tuple[str, str]) -> None:
    listed = feed("list", *data).out
    for name in RECIPES.keys() | {"pumps"}:
        assert f"\n{name} " in listed
    assert "polls" in next(line for line in listed.splitlines() if line.startswith("telemetry"))
    other = feed("list", *data, "--tenant", "acme").out  # a new tenant starts with the recipes
    assert "location" in other and "pumps" not in other


def test_a_feed_is_shown_as_it_was_written_and_applied_as_a_new_version(
    feed: Run, data: tuple[str, str], tmp_path: Path
) -> None:
    shown = feed("show", "location", *data)
    assert (shown.out, shown.err) == (RECIPES["location"], "# location, version 1\n")
    file = tmp_path / "location.toml"
    file.write_text(shown.out.replace('every = "1m"', 'every = "5m"'))
    tried = feed("apply", file, "--dry-run", *data).out.splitlines()
    assert tried == ["Feed 'location' would be at version 2:", '  ~  rollups.every  "1m" → "5m"']
    assert feed("apply", file, *data).out.splitlines() == ["Feed 'location' is at version 2:", tried[1]]
    assert feed("apply", file, *data).out == "Feed 'location' is at version 2 already: the same text.\n"
    assert 'every = "5m"' in feed("show", "location", *data).out
    assert feed("show", "location", "--version", 1, *data).out == shown.out
    assert feed("show", "location", "--version", 3, *data).status == 1


def test_versions_and_differences_are_told(feed: Run, data: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "pumps.toml"
    rule = '[[rules]]\ncheck = "max_age"\noptions = {{ max_age = "{}" }}\n'
    for text in ("# why\n" + PUMPS, PUMPS + rule.format("1h"), PUMPS + rule.format("2h")):
        file.write_text(text)
        assert feed("apply", file, *data).status == 0
    lines = feed("versions", "pumps", *data).out.splitlines()
    assert [line[:1] for line in lines[1:]] == ["4", "3", "2", "1"]
    assert 'rules[0].options.max_age  "1h" → "2h"' in lines[1]
    assert '+  rules[0]  { check = "max_age"' in lines[2]
    assert "nothing but comments or layout" in lines[3]
    assert "the first" in lines[4]
    told = feed("diff", "pumps", 4, 3, *data).out
    assert told.startswith('~  rules[0].options.max_age  "2h" → "1h"')
    assert '-options = { max_age = "2h" }\n+options = { max_age = "1h" }' in told
    for wrong in (("versions", "none"), ("diff", "pumps", 1, 9), ("show", "none")):
        done = feed(*wrong, *data)
        assert done.status == 1 and "`tidemill feed list`" in done.err


def test_looking_makes_no_folder(feed: Run, tmp_path: Path) -> None:
    for command in (("list",), ("show", "location"), ("versions", "location")):
        assert feed(*command, "--data", tmp_path / "none").status == 2
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_passes_its_check(feed: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.toml"
    file.write_text(RECIPES[name])
    assert feed("check", file) == (0, f"{file}: feed '{name}' is right.\n", "")


def test_every_fault_of_every_file_is_explained_with_its_place(feed: Run, tmp_path: Path) -> None:
    bad, good, worse = tmp_path / "bad.toml", tmp_path / "good.toml", tmp_path / "worse.toml"
    bad.write_text(BAD)
    good.write_text(PUMPS)
    worse.write_text("name = \n")
    done = feed("check", bad, good, worse)
    assert done.status == 2
    for place in (f"{bad}:3", f"{bad}:6", f"{bad}:7", f"{worse}:1"):  # a path begins with $
        assert place in done.err
    assert "did you mean 'required'?" in done.err
    assert f"{good}: feed 'pumps' is right." in done.out


def test_one_faulty_file_keeps_all_from_being_applied(feed: Run, data: tuple[str, str], tmp_path: Path) -> None:
    good, bad, other = tmp_path / "good.toml", tmp_path / "bad.toml", tmp_path / "other.toml"
    good.write_text(PUMPS.replace('"bar"\n', '"mbar"\n'))
    bad.write_text(BAD)
    other.write_text('duplicates = "keep"\n' + PUMPS)
    done = feed("apply", good, bad, other, *data)
    assert done.status == 2 and "nothing was changed" in done.err
    assert f"{bad}:6: fields.x.requred" in done.err and f"{other}:1: duplicates" in done.err
    assert feed("show", "pumps", *data).out == PUMPS


def test_a_file_that_cannot_be_read_is_said(feed: Run, tmp_path: Path) -> None:
    assert "none.toml" in feed("check", tmp_path / "none.toml").err
    latin = tmp_path / "latin.toml"
    latin.write_bytes('title = "Büro"'.encode("latin-1"))
    done = feed("check", latin)
    assert done.status == 2 and "byte 10" in done.err


def test_a_server_answers_the_same(feed: Run, server: Api, at_server: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "our pumps.toml"
    file.write_text(PUMPS)
    assert feed("apply", file, *at_server) == (0, "Feed 'pumps' is at version 1: a new feed.\n", "")
    file.write_text(PUMPS.replace('unit = "bar"', 'unit = "Pa"'))
    assert '~  fields.bar.unit  "bar" → "Pa"' in feed("apply", file, "--dry-run", *at_server).out
    assert "is at version 2" in feed("apply", file, *at_server).out
    assert server.services.book.current("default", "pumps").fields["bar"].unit == "Pa"
    assert "\npumps " in feed("list", *at_server).out
    assert feed("show", "pumps", "--version", 1, *at_server).out == PUMPS
    assert [line[:1] for line in feed("versions", "pumps", *at_server).out.splitlines()[1:]] == ["2", "1"]
    assert '+unit = "Pa"' in feed("diff", "pumps", 1, 2, *at_server).out
    assert feed("versions", "none", *at_server).status == 1
    file.write_text(BAD)
    done = feed("apply", file, *at_server)
    assert done.status == 2 and f"{file}:6: fields.x.requred" in done.err


def test_a_server_that_refuses_or_is_not_there_is_said(feed: Run, server: Api, tmp_path: Path) -> None:
    file = tmp_path / "pumps.toml"
    file.write_text(PUMPS)
    refused = feed("apply", file, "--url", server.url)
    assert refused.status == 1 and "--key" in refused.err
    gone = feed("list", "--url", "http://127.0.0.1:9")
    assert gone.status == 1 and "No answer from http://127.0.0.1:9" in gone.err
    assert feed("list", "--url", "tidemill").status == 2


@pytest.mark.parametrize("command", ["check", "list", "show", "apply", "versions", "diff"])
def test_help_teaches_by_an_example(feed: Run, command: str) -> None:
    assert f"tidemill feed {command} " in feed(command, "--help").out
