"""`tidemill why` and how commands find their server, at a real API with a mill and a store."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Run, runner
from tests.support.server import CLOSED_PORT, Server, running_server

FEED = """name = "tanks"
[time]
path = "$.t"
[tags.tank]
path = "$.tank"
[fields.level]
path = "$.level"
[[rules]]
check = "range"
options = { field = "level", max = 10 }
"""
RECORDS = [{"t": "2026-01-01T00:00:00Z", "tank": "a", "level": level} for level in (50, 5)]
STORY = ("--feed", "tanks", "--field", "level", "--tag", "tank=a", "--time", "2026-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("why") / "data", env={"TIDEMILL_LOG_FORMAT": "text"}) as running:
        assert running.client.put("/v1/feeds/tanks", content=FEED).is_success
        sent = running.client.post("/v1/feeds/tanks", json=RECORDS, headers={"Prefer": "wait=20"})
        assert (sent.json()["accepted"], sent.json()["rejected"]) == (1, 1), sent.text
        yield running


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: Server) -> Run:
    """Run `tidemill ...` in this process, in a shell of `make shell`."""
    started = runner(monkeypatch, capsys, "")
    monkeypatch.setenv("TIDEMILL_URL", server.url)
    return started


def test_every_event_has_its_sentence_and_the_verdict_is_last(run: Run) -> None:
    told = run("why", *STORY).out.splitlines()
    assert [line.split()[0] for line in told[:-1]] == ["received", "accepted", "rejected"]
    assert told[2].endswith("was rejected as outside_range: level is outside the range to 10.")
    assert told[-1].startswith("5 stands at 2026-01-01T00:00:00Z, from record 1 of payload")


def test_as_json_it_is_the_document_of_the_api(run: Run, server: Server) -> None:
    params = {"feed": "tanks", "field": "level", "tag.tank": "a", "time": "2026-01-01T00:00:00Z"}
    assert json.loads(run("why", *STORY, "--format", "json").out) == server.client.get("/v1/why", params=params).json()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--feed", "tanks", "--time", "noon"), "--time"),
        (("--feed", "tanks", "--time", "2026-01-01", "--tag", "tank"), "--tag is NAME=VALUE, such as pump=p1"),
        (("--time", "2026-01-01"), "--series"),
        ((*STORY, "--format", "yaml"), "--format is text or json, not 'yaml'"),
    ],
)
def test_a_wrong_option_is_named(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run("why", *arguments)
    assert done.status == 2 and said in done.err


@pytest.mark.parametrize(
    "command",
    [
        ("jobs", "list"),
        ("replay", "list"),
        ("source", "list"),
        ("feed", "list"),
        ("verify",),
        ("why", *STORY),
        ("simulate", "files", "--count", "1"),
    ],
)
def test_every_command_reads_where_the_server_is(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.status == 0, done.err


@pytest.mark.parametrize("command", [("jobs", "list"), ("feed", "list"), ("verify",), ("why", *STORY)])
def test_where_nothing_answers_the_option_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TIDEMILL_URL", f"http://127.0.0.1:{CLOSED_PORT}")
    done = run(*command)
    assert done.status == 1
    assert f"No answer from http://127.0.0.1:{CLOSED_PORT}" in done.err
    assert "tidemill serve" in done.err and "--url" in done.err and "TIDEMILL_URL" in done.err


def test_a_folder_that_is_named_comes_before_the_variable(run: Run, server: Server, tmp_path: Path) -> None:
    missing = run("feed", "list", "--data", tmp_path / "none")
    assert missing.status == 2 and "There is no Tidemill data" in missing.err
    assert "tanks" in run("feed", "list", "--data", tmp_path / "none", "--url", server.url).out


def test_a_log_for_people_has_no_json(server: Server) -> None:
    log = server.log.read_text("utf-8")
    assert re.search(r"^\d\d:\d\d:\d\d serve  started  part=store  pid=\d+", log, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d mill   took the partition", log, re.MULTILINE)
    assert '{"' not in log.replace('{"timestamp"', "")  # which is in the banner


def test_a_verification_of_a_served_folder_names_the_server(run: Run, server: Server) -> None:
    done = run("verify", "--data", server.data)
    assert done.status == 2
    assert f"Or ask the server that runs on it: tidemill verify --url {server.url}" in done.err


def test_the_first_key_says_whom_it_shuts_out_and_what_it_stops(run: Run, server: Server) -> None:
    """The last test of this file: from here on the server is closed."""
    done = run("key", "create", "--data", server.data, "--tenant", "acme", "--scope", "read")
    assert done.out.startswith("tm_") and len(done.out.split()) == 1
    for said in (
        "This is the first key. From now on every request needs one",
        "TIDEMILL_SOURCE_ALLOW=127.0.0.0/8",
        f"tidemill key create --data {server.data} --tenant default --scope read,write,admin",
    ):
        assert said in done.err
    second = run("key", "create", "--data", server.data, "--tenant", "default", "--scope", "admin").err
    assert "first key" not in second and "no key reads it" not in second
    sent = run("simulate", "phones", "--count", "50")
    assert sent.status == 1 and "wants a key: give one with --key or TIDEMILL_KEY" in sent.err
