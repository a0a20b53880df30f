"""One bit of a data folder is flipped, in whatever file: the server gives the same answers as before, or a problem that
names where the damage is, and then `tidemill verify` finds it. It acknowledges payloads, or says what is to be done."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tests.support import flipping
from tests.support.flipping import Folder, answer_to, caught_up, is_between, problem, send
from tests.support.rounds import rounds
from tests.support.server import Server, running_server

SEED = int(os.environ.get("TIDEMILL_TEST_SEED", "0"))
# What may refuse payloads where it is damaged: what each of them has to be written to, or judged by.
_NEEDED = ("log/log.sqlite", "log/log.sqlite-wal", "catalog.sqlite", "catalog.sqlite-wal")
_DAMAGED = ("damaged", "log_corrupt", "feed_damaged")  # codes of problems that say what is
_NOTICED = ("was flipped", "is damaged", "was damaged")  # what the server says of what it mends, or does without


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return flipping.build_folder(tmp_path_factory.mktemp("flips") / "data")


@pytest.mark.parametrize("number", range(SEED, SEED + rounds(5, 1000)))
def test_a_flipped_bit_gives_no_wrong_answer(
    whole: Folder, tmp_path: Path, number: int, record_property: Callable[[str, object], None]
) -> None:
    data = tmp_path / "data"
    file, byte, bit = whole.flipped(data, random.Random(number))
    where = f"bit {bit} of byte {byte} of {file}"
    try:
        amiss = served(data, whole, where, may_refuse=str(file) in _NEEDED)
    except RuntimeError as error:  # it ended, with words
        name = re.escape(file.name.removesuffix("-wal"))
        assert str(file) in _NEEDED and re.search(rf"\b{name}", str(error)), f"{where}: {error}"
        assert "Traceback" not in str(error), f"{where}: {error}"
        amiss = [str(error)]
    noticed = any(words in (tmp_path / "data.log").read_text("utf-8", "replace") for words in _NOTICED)
    record_property("flipped", where)
    record_property("outcome", "; ".join(amiss)[:300] if amiss else "mended" if noticed else "harmless")
    if amiss:
        done = verify(data)
        assert done.returncode != 0, f"{where}: {amiss}\n{done.stdout}"
        assert "Traceback" not in done.stderr, f"{where}: {done.stderr}"


def served(data: Path, whole: Folder, where: str, *, may_refuse: bool) -> list[str]:
    """What a server on the folder says instead of the right answers; every such answer names a place."""
    amiss = []
    with running_server(data, ready=False) as server:
        behind = not caught_up(server.client, 60)
        if behind:  # what it cannot apply for damage, it says
            state = server.client.get("/readyz").text
            assert "damaged" in state, f"{where}: {state}\n{_log(server)}"
            amiss.append(f"it does not catch up: {state}")
        for question in whole.questions:
            answer = answer_to(server.client, question)
            right = whole.answers[question]
            if answer != right and not (behind and is_between(answer, whole.behind[question], right)):
                said = problem(answer[1])
                assert said, f"{where}: {question}: {answer}\ninstead of {right}"
                assert said["code"] in _DAMAGED, f"{where}: {question}: {said}\n{_log(server)}"
                amiss.append(f"{question}: {said['detail']}")
        for answer in send(server.client, range(1, 2)):
            if answer.status_code not in (200, 201, 202):
                assert may_refuse, f"{where}: {answer.text}\n{_log(server)}"
                assert re.search("verify --repair|back from a backup", answer.text), f"{where}: {answer.text}"
                amiss.append(answer.text)
        flipping.go_dark(server)
        restarts = server.log.read_text("utf-8", "replace").count("ended unasked")
        assert restarts == 0, f"{where}: {restarts} restarts:\n{_log(server)}"
    return amiss


def test_an_answer_of_a_server_that_is_behind_is_held_against_what_does_not_change() -> None:
    before, after = (200, '{"a": [1, 2], "n": 4, "s": "x"}'), (200, '{"a": [1, 2, 3], "n": 0, "s": "y"}')
    assert is_between(before, before, after) and is_between(after, before, after)
    assert is_between((200, '{"a": [1, 2], "n": 2, "s": "z"}'), before, after)
    wrong = ['{"a": [1, 3], "n": 2, "s": "z"}', '{"a": [1, 2], "n": 5, "s": "z"}', '{"a": [1, 2], "n": 2}', "none"]
    assert not any(is_between((200, text), before, after) for text in wrong)
    assert not is_between((500, before[1]), before, after)


def verify(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidemill.cli", "verify", "--data", str(data), *options]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environment)


def _log(server: Server) -> str:
    """The end of what the server said."""
    return server.log.read_text("utf-8", "replace")[-3000:]


def test_a_log_that_cannot_be_opened_refuses_with_words_until_it_is_repaired(whole: Folder, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole.path, data, symlinks=True)
    connection = apsw.Connection(str(data / "log" / "log.sqlite"))
    assert connection.execute("SELECT count(*) FROM entries").get  # SQLite knows of no WAL before it has read
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    with (data / "log" / "log.sqlite").open("r+b") as file:
        file.write(b"no database any more")
    with running_server(data, ready=False) as server:
        state = server.client.get("/readyz")
        assert (state.status_code, state.json()["ready"]) == (503, False)
        assert "verify --repair" in state.json()["log"]["reason"]
        refused = server.client.post("/v1/feeds/dropzone", content=b"{}")
        assert (refused.status_code, refused.json()["code"]) == (503, "log_corrupt")
        assert "verify --repair" in refused.json()["detail"]
        rows = next(question for question in whole.questions if "dropzone/rows" in question)
        assert len(json.loads(answer_to(server.client, rows)[1])) >= flipping.PAYLOADS
        log = _log(server)
        assert "Traceback" not in log and "ended unasked" not in log, log
    assert verify(data).returncode == 1
    repaired = verify(data, "--repair")
    assert "is built anew with" in repaired.stderr, repaired.stderr
    assert repaired.returncode == 0, repaired.stdout
    with running_server(data) as server:
        assert caught_up(server.client, 60)
        assert {question: answer_to(server.client, question) for question in whole.questions} == whole.answers
        assert all(answer.status_code < 300 for answer in send(server.client, range(1, 2)))
