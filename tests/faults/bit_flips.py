"""One bit of a data folder is flipped, in whatever file: the server gives the same answers as before, or a problem that
names where the damage is, and then `tidemill verify` finds it. It acknowledges payloads, or says what is to be done."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tests.support import flipping
from tests.support.flipping import Folder, ask, caught_up, problem, send
from tests.support.rounds import rounds
from tests.support.server import Server, running_server

SEED = int(os.environ.get("TIDEMILL_TEST_SEED", "0"))
# What may refuse payloads where it is damaged: what each of them has to be written to, or judged by.
_NEEDED = ("log/log.sqlite", "log/log.sqlite-wal", "catalog.sqlite", "catalog.sqlite-wal")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return flipping.build(tmp_path_factory.mktemp("flips") / "data")


@pytest.mark.parametrize("number", range(SEED, SEED + rounds(8, 1000)))
def test_a_flipped_bit_gives_no_wrong_answer(whole: Folder, tmp_path: Path, number: int) -> None:
    data = tmp_path / "data"
    file, byte, bit = whole.flipped(data, random.Random(number))
    where = f"bit {bit} of byte {byte} of {file}"
    try:
        amiss = served(data, whole, where, may_refuse=str(file) in _NEEDED)
    except RuntimeError as error:  # it ended, with words
        assert str(file) in _NEEDED and Path(file).name.removesuffix("-wal") in str(error), f"{where}: {error}"
        assert "Traceback" not in str(error), f"{where}: {error}"
        amiss = [str(error)]
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
            answer = ask(server.client, question)
            if answer != whole.answers[question] and not (behind and answer == whole.behind[question]):
                said = problem(answer[1])
                assert said, f"{where}: {question}: {answer}\ninstead of {whole.answers[question]}"
                assert said["code"] in {"damaged", "log_corrupt"}, f"{where}: {question}: {said}\n{_log(server)}"
                amiss.append(f"{question}: {said['detail']}")
        for answer in send(server.client, range(1, 2)):
            if answer.status_code not in (200, 201, 202):
                assert may_refuse, f"{where}: {answer.text}\n{_log(server)}"
                assert "verify --repair" in answer.text, f"{where}: {answer.text}"
                amiss.append(answer.text)
        restarts = server.log.read_text("utf-8", "replace").count("ended unasked")
        assert restarts == 0, f"{where}: {restarts} restarts:\n{_log(server)}"
    return amiss


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
        assert len(json.loads(ask(server.client, rows)[1])) >= flipping.PAYLOADS
        log = _log(server)
        assert "Traceback" not in log and "ended unasked" not in log, log
    assert verify(data).returncode == 1
    repaired = verify(data, "--repair")
    assert "is built anew with" in repaired.stderr, repaired.stderr
    assert repaired.returncode == 0, repaired.stdout
    with running_server(data) as server:
        assert caught_up(server.client, 60)
        assert {question: ask(server.client, question) for question in whole.questions} == whole.answers
        assert all(answer.status_code < 300 for answer in send(server.client, range(1, 2)))
