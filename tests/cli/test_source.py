"""`tidemill source`: what a newcomer sees of a URL before anything is saved, and an operator of sources and polls."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.running import Run, runner
from tests.sources.web import Request, Web
from tests.support.api import Api, running_api
from tests.support.engine import running_engine
from tidemill import cli
from tidemill.simulate.server import running
from tidemill.sources.ledger import poll_rows
from tidemill.sources.source_spec import source_key
from tidemill.sources.state import Poll, SourceState
from tidemill.store.migrate import migrate

HERE = ("--allow", "127.0.0.0/8")
READINGS = {
    "data": [
        {"timestamp": "2026-03-01T01:00:00+01:00", "site": "north", "value": 1.5},
        {"timestamp": "2026-03-01T00:15:00Z", "site": "north", "value": -2},
    ]
}
FEED = """name = "plant"
[input]
records = "$.data"
on_fault = "reject"
[time]
path = "$.timestamp"
[tags.site]
path = "$.site"
[fields.level]
path = "$.value"
[[rules]]
check = "range"
options = { field = "level", min = 0 }
"""


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    """Run `tidemill source ...` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    umask = os.umask(0o077)
    yield runner(monkeypatch, capsys, "source")
    os.umask(umask)


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `tidemill feed ...` in this process; its exit status."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["tidemill", "feed", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return run


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    made = Web(lambda _: (404, {}, b""))
    with running(made) as url:
        made.url = url
        yield made


def says(document: Any, status: int = 200, **headers: str) -> Callable[[Request], tuple[int, dict[str, str], bytes]]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return lambda _: (status, {"content-type": "application/json"} | headers, body)


def test_an_answer_is_shown_decoded_with_a_draft_and_nothing_is_written(source: Run, web: Web, tmp_path: Path) -> None:
    with web.answering(says(READINGS)) as url:
        done = source("try", f"{url}/v1/readings", *HERE)
    assert done.status == 0
    assert "200, " in done.out and "application/json" in done.out
    assert "$.data[*].timestamp looks like a time" in done.out
    assert "$.data[*].value looks like a number" in done.out
    assert "2026-03-01T00:00:00Z  north  1.5" in done.out
    assert 'name = "readings"' in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_draft_passes_the_check_and_is_never_written_over_another_file(
    source: Run, feed: Callable[..., int], web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "readings.toml"
    monkeypatch.setenv("TOKEN", "hush-hush")
    header = ("--header", "Authorization: Bearer ${TOKEN}")
    with web.answering(says(READINGS)) as url:
        done = source("try", f"{url}/v1/readings", *HERE, *header, "--draft", file)
        assert web.requests[0].headers["authorization"] == "Bearer hush-hush"
        again = source("try", f"{url}/v1/readings", *HERE, "--draft", file)
        assert len(web.requests) == 1
    assert (done.status, again.status) == (0, 2)
    assert "exists already" in again.err
    assert "hush" not in done.out + done.err + file.read_text()
    assert feed("check", file) == 0


def test_options_correct_the_guess(source: Run, web: Web) -> None:
    record = {"t": 5, "when": "2026-03-01 12:00:00", "v": 7, "w": 8, "who": "a"}
    options = ("--time", "$.when", "--zone", "Europe/Zurich", "--field", "level=$.v", "--tag", "user=$.who")
    with web.answering(says(record)) as url:
        done = source("try", url, *HERE, *options, "--format", "json")
        wrong = source("try", url, *HERE, "--field", "level")
        other = source("try", url, *HERE, "--records", "$.none")
    assert "2026-03-01T11:00:00Z  a     7" in done.out
    assert (wrong.status, other.status) == (2, 1)
    assert "NAME=PATH" in wrong.err
    assert "$.none" in other.err


def test_a_feed_says_what_it_would_store_and_reject(source: Run, web: Web, tmp_path: Path) -> None:
    (tmp_path / "plant.toml").write_text(FEED)
    with web.answering(says(READINGS)) as url:
        done = source("try", url, *HERE, "--decode", tmp_path / "plant.toml")
    assert done.status == 0
    assert "1 of 2 record(s) would be stored: 1 point(s), 1 series; 1 rejected" in done.out
    assert "2026-03-01T00:00:00Z  north  1.5" in done.out
    [line] = [line for line in done.out.splitlines() if "outside_range" in line or "range" in line.split("  ")[2:3]]
    assert "2026-03-01T00:15:00Z" in line
    assert "-2" in line


def test_a_feed_of_a_data_folder_asks_what_its_own_source_asks(
    source: Run, feed: Callable[..., int], web: Web, tmp_path: Path
) -> None:
    text = (
        FEED
        + '[source]\nurl = "URL/x?from={start}"\nheaders = { a = "b" }\n'
        + '[source.window]\nstart = "2026-03-01T00:00:00Z"\n'
    )
    file = tmp_path / "plant.toml"
    file.write_text(text.replace("URL", web.url))
    with web.answering(says(READINGS)):
        done = source("try", "--decode", file, *HERE)
        assert web.requests[0].query == {"from": "2026-03-01T00:00:00Z"}
        assert web.requests[0].headers["a"] == "b"
        missing = source("try", web.url, "--feed", "plant", "--data", tmp_path / "none")
    assert (done.status, missing.status) == (0, 2)
    assert "There is no Tidemill data" in missing.err
    assert [feed("check", file), feed("apply", file, "--data", tmp_path / "data")] == [0, 0]
    with web.answering(says(READINGS)) as url:
        kept = source("try", "--feed", "plant", "--data", tmp_path / "data", *HERE)
        given = source("try", url, "--feed", "plant", "--data", tmp_path / "data", *HERE)
    assert (kept.status, given.status) == (0, 0)
    assert "1 of 2 record(s) would be stored" in kept.out
    nothing = source("try")
    assert (nothing.status, "Say what to ask" in nothing.err) == (2, True)


def test_columns_are_told_from_lists_and_drafted_as_columns(source: Run, web: Web, tmp_path: Path) -> None:
    columns = {"latitude": 5, "hours": {"time": ["2026-01-01T00:00", "2026-01-01T01:00"], "level": [1.5, None]}}
    with web.answering(lambda _: (200, {}, json.dumps(columns).encode())) as url:
        ended = source("try", url, *HERE, "--draft", tmp_path / "x.toml")
        assert (ended.status, "2 of 2 record(s) would be stored: 1 point(s)" in ended.out) == (0, True)
        assert 'columns = "$.hours"' in (tmp_path / "x.toml").read_text()
        again = source("try", url, *HERE, "--decode", tmp_path / "x.toml")
        assert "2 of 2 record(s) would be stored: 1 point(s)" in again.out
        asked = source("try", url, *HERE, "--field", "latitude=$.latitude", "--records", "$")
    assert asked.status == 0


def test_a_feed_with_a_body_and_a_token_asks_as_its_source_does(source: Run, web: Web, tmp_path: Path) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        if request.path == "/token":
            return 200, {}, b'{"access_token": "hush-token-1", "token_type": "bearer"}'
        good = request.headers.get("authorization") == "Bearer hush-token-1" and request.body == b'{"x":1}'
        return (200 if good else 401), {}, json.dumps({**READINGS, "echo": request.headers}).encode()

    with web.answering(answer) as url:
        text = f'[source]\nurl = "{url}"\nbody = {{ json = {{ x = 1 }} }}\n[source.oauth2]\ntoken_url = "{url}/token"\n'
        (tmp_path / "plant.toml").write_text(f'{FEED}{text}client_id = "mill"\nclient_secret = "s"\n')
        ended = source("try", "--decode", tmp_path / "plant.toml", *HERE)
    assert ended.status == 0 and "hush-token" not in ended.out + ended.err


def test_a_private_address_is_refused_with_the_line_that_allows_it(source: Run, web: Web) -> None:
    with web.answering(says(READINGS)) as url:
        done = source("try", url)
        redirected = source("try", url, "--allow", "127.0.0.1/32", "--timeout", "2")
        assert len(web.requests) == 1
    assert (done.status, redirected.status) == (1, 0)
    assert "  --allow 127.0.0.0/8\n" in done.err
    assert source("try", "http://10.1.2.3/").err.endswith("  --allow 10.1.2.3/32\n")
    assert source("try", "http://[::ffff:127.0.0.1]/").err.endswith("  --allow 127.0.0.0/8\n")
    assert source("try", url, "--allow", "10.0.0.1/8").status == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (says(b"<html>no such thing</html>", 404), "answered 404"),
        (says(b"{}", 401), "--header"),
        (says(b"", 204), "nothing to give"),
        (says(b""), "no body"),
        (says(b"<html>\x1b[31mred\x07</html>"), "no JSON"),
        (says([]), "no JSON with objects"),
        (says({"a": "b"}), "--field"),
        (says(b"", 302, location="ftp://x/"), "ftp"),
    ],
)
def test_what_cannot_be_decoded_is_shown_without_control_characters(
    source: Run, web: Web, answer: Any, said: str
) -> None:
    with web.answering(answer) as url:
        done = source("try", url, *HERE)
    assert done.status == 1
    assert said in done.err
    told = done.out + done.err
    assert all(char.isprintable() or char == "\n" for char in told), told
    assert "Traceback" not in told


def test_names_and_values_of_theirs_cannot_move_the_cursor(source: Run, web: Web) -> None:
    record = {"time": "2026-03-01T00:00:00Z", "\u202ev": 1, "who": "a\u202e[red]b", "odd": "\x1b]0;x\x07"}
    with web.answering(says(record)) as url:
        done = source("try", url, *HERE)
    assert done.status == 0
    assert all(char.isprintable() or char == "\n" for char in done.out)
    assert "[red]b" in done.out


@pytest.mark.parametrize("header", ["Authorization: Bearer ${TOKEN}", "Authorization: Bearer hush-hush"])
def test_a_secret_that_a_server_sends_back_is_not_shown(
    source: Run, web: Web, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    monkeypatch.setenv("TOKEN", "hush-hush")
    for status in (200, 403):
        echo = {"asked": {"authorization": "Bearer hush-hush"}, "time": "2026-03-01T00:00:00Z", "v": 1}
        with web.answering(says(echo, status)) as url:
            done = source("try", url, *HERE, "--header", header)
        assert done.status == (0 if status == 200 else 1)
        assert "hush" not in done.out + done.err


def test_nobody_there_and_a_variable_that_is_not_set(source: Run) -> None:
    gone = source("try", "http://127.0.0.1:9/", *HERE)
    unset = source("try", "http://127.0.0.1:9/${NO_SUCH_VARIABLE}", *HERE)
    assert (gone.status, unset.status) == (1, 2)
    assert "cannot connect" in gone.err
    assert "NO_SUCH_VARIABLE" in unset.err


def test_help_teaches_with_an_example(source: Run) -> None:
    told = source("try", "--help").out
    assert "tidemill source try https://api.example.com/readings" in " ".join(told.replace("│", " ").split())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("sources")
    now = time.time_ns()
    with running_engine(folder / "store") as address:
        migrate(address)
        with running_api(folder, store=address) as api:
            kept = SourceState(
                tenant="default",
                feed="telemetry",
                item="",
                state="failing",
                since_ns=now - 3 * 3600 * 10**9,
                next_due_ns=now + 3000 * 10**9,
                reason="timeout",
                detail="no byte came\x1b[2J for 10 s",
                polls=7,
            )
            key = source_key("default", "telemetry", "")
            api.services.catalog.put(f"{key}/state", msgspec.json.encode(kept))
            polls = [
                Poll(
                    tenant="default",
                    feed="telemetry",
                    item="",
                    started_ns=now - (10 - n) * 60 * 10**9,
                    result=result,
                    status=0 if result == "timeout" else 200,
                    next_due_ns=now - (9 - n) * 60 * 10**9,
                )
                for n, result in enumerate(["data"] * 5 + ["timeout"] * 5)
            ]
            api.services.store.insert("polls", poll_rows(polls))
            yield api


def test_sources_are_listed_with_times_as_seen_from_now(source: Run, server: Api) -> None:
    done = source("list", "--url", server.url)
    assert done.status == 0
    [line] = [line for line in done.out.splitlines() if line.startswith("telemetry ")]
    assert "failing  3 h ago" in line
    assert "in 50 min" in line
    assert "no byte came·[2J for 10 s" in done.out


def test_polls_are_listed_with_what_they_add_up_to(source: Run, server: Api) -> None:
    done = source("polls", "telemetry", "--url", server.url)
    assert done.status == 0
    assert [line.split()[3] for line in done.out.splitlines()[1:11]] == ["timeout"] * 5 + ["data"] * 5
    assert "longest outage: 5 min, goes on (timeout)" in done.out
    end = server.client.get("/v1/sources/telemetry/polls").json()["items"][0]["next_due"]
    until = source("polls", "telemetry", "--url", server.url, "--end", end)
    assert "10 polls since" in until.out
    assert "had data 50.0%, not reached 50.0%" in until.out
    few = source("polls", "telemetry", "--url", server.url, "--result", "data", "--limit", "2")
    assert sum("data" in line.split() for line in few.out.splitlines()[:3]) == 2
    missing = source("polls", "none-such", "--url", server.url)
    assert (missing.status, "there is no feed" in missing.err) == (1, True)
