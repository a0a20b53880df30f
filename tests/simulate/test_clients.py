"""The simulated clients agree with a server that keeps its contract, and notice one that does not."""

import time

import pytest

from tests.simulate.reference import Reference
from tidemill.simulate import files, machines, phones
from tidemill.simulate.server import running


def simulate(kind, url, **more):
    if kind == "phones":
        return phones.run_phones(phones.PhonesOptions(url=url, count=200, verify=True, **more))
    if kind == "files":
        return files.run_files(files.FilesOptions(url=url, count=60, **more))
    return machines.run_machines(machines.MachinesOptions(url=url, count=20, samples=300, **more))


@pytest.mark.parametrize("kind", ["phones", "files", "machines"])
def test_nothing_is_unexpected_of_a_server_that_keeps_its_contract(kind):
    with running(Reference()) as url:
        summary = simulate(kind, url)
    assert summary.examples == ()
    assert summary.unexpected == summary.exit_code == 0
    assert summary.accepted > 0 and summary.refused > 0 and summary.verified > 0
    assert summary.accepted + summary.refused == summary.sent
    assert 0 < summary.p50_ms <= summary.p99_ms
    assert f"{summary.sent} sent" in summary.text()


@pytest.mark.parametrize(
    ("kind", "lie", "told"),
    [
        ("phones", "broken records are taken", "200 instead of 400"),
        ("phones", "last wins", "average"),
        ("phones", "local is UTC", "missing"),
        ("phones", "a border makes two", "never sent"),
        ("files", "broken records are taken", "202 instead of 400"),
        ("files", "rows stay", "values of"),
        ("machines", "values are rounded", "the first other one at 0"),
        ("machines", "deleted series stay", "still answers 200"),
    ],
)
def test_a_lie_is_noticed(kind, lie, told, monkeypatch):
    monkeypatch.setattr("tidemill.simulate.session._VERIFY_S", 0.2)
    with running(Reference(lie)) as url:
        summary = simulate(kind, url)
    assert summary.exit_code == 1
    assert any(told in example for example in summary.examples), summary.examples


def test_the_same_seed_sends_the_same_bytes():
    def sent(seed):
        bodies = []

        async def app(scope, receive, send):
            bodies.append((await receive())["body"])
            await reference(scope, replay(bodies[-1]), send)

        def replay(body):
            async def receive():
                return {"type": "http.request", "body": body}

            return receive

        reference = Reference()
        with running(app) as url:
            phones.run_phones(phones.PhonesOptions(url=url, count=100, seed=seed, connections=1))
        return bodies

    assert sent(4) == sent(4)
    assert sent(4) != sent(5)


def test_rate_paces_the_requests():
    with running(Reference()) as url:
        started = time.monotonic()
        files.run_files(files.FilesOptions(url=url, count=10, rate=20))
    assert time.monotonic() - started > 0.4


def test_server_that_is_away_is_unexpected_unless_there_is_patience():
    with running(Reference()) as url:
        pass
    summary = files.run_files(files.FilesOptions(url=url, count=1, connections=1))
    assert summary.unexpected == 1 and "ConnectError" in summary.examples[0]
    restarting, calls = Reference(), []

    async def app(scope, receive, send):
        calls.append(scope["path"])
        if len(calls) % 2:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await restarting(scope, receive, send)

    with running(app) as url:
        summary = files.run_files(files.FilesOptions(url=url, count=10, patience_s=5))
    assert summary.exit_code == 0 and summary.retried >= 10
