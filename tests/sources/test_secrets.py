"""A secret goes to its source and nowhere else: not to logs, states, the poll ledger, or the catalog."""

import logging
import re

import msgspec
import pytest

from tests.sources.conftest import FAST, LOCAL, closed_port, until
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.sources.poller import Poller
from tidemill.sources.state import Unusable

SECRET = "hush/42&do-not-tell"
SPELT = ("hush/42", "hush%2F42", "do-not-tell")

POINT = 'name = "plant"\n[time]\npath = "$.t"\n[fields.v]\npath = "$.v"\n[source]\n'
COMMON = 'every = "30ms"\nmax_backoff = "30ms"\nallow = ["127.0.0.0/8"]\n'


@pytest.fixture
def secrets(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "key").write_text(SECRET + "\n")
    return folder


@pytest.fixture
def told(caplog, states, catalog, tmp_path, secrets):
    """Everything that was said: log lines, states, rows of the ledger, and what the catalog wrote to disk."""
    caplog.set_level(logging.DEBUG)

    def read(rows):
        lines = [f"{record.getMessage()} {getattr(record, 'facts', '')} {record.exc_text}" for record in caplog.records]
        shown = msgspec.json.encode([*states().values(), *(msgspec.to_builtins(row) for row in rows)]).decode()
        disk = b"".join(path.read_bytes() for path in tmp_path.glob("catalog.sqlite*")).decode("latin-1")
        return "\n".join([*lines, shown, disk])

    read.secrets = secrets
    return read


def source(text, secrets, **more):
    file = f"${{file:{secrets}/key}}"
    return load_feed(POINT + COMMON + text.replace("SECRET", file), secrets_folder=secrets, **more)


def echoed(request):
    """Sends back what it was asked, in every place there is."""
    asked = request.query.get("key", "")
    return 302, {"location": f"ftp://{asked}/?key={asked}", "link": f"<{asked}>; rel=next"}, asked.encode()


def level(value):
    return b'{"t": "2026-01-01T00:00:00Z", "v": %d}' % value


def paged(request):
    if request.query.get("page") == "2":
        return 500, {}, b""
    return (
        200,
        {"link": f'</?key={"hush%2F42%26do-not-tell"}&page=2>; rel="next"'},
        level(1),
    )


@pytest.mark.parametrize(
    "case",
    [
        (
            'url = "URL"\nparams = { key = "SECRET" }\nheaders = { authorization = "Bearer SECRET" }',
            echoed,
            "protocol",
        ),
        ('url = "URL/?key=SECRET"', lambda request: (401, {}, b""), "bad_status"),
        ('url = "URL/?key=SECRET"\n[source.page]\nby = "link"', paged, "bad_status"),
        ('url = "URL"\nheaders = { y = "SECRET\\n" }', echoed, "protocol"),
        ('url = "http://SECRET.invalid/"', None, "dns|definition|protocol"),
        ('url = "DOWN/SECRET"', None, "refused"),
    ],
    ids=["redirect", "status", "link", "header", "host", "down"],
)
def test_secret_is_in_nothing_that_is_kept_or_shown(web, case, told, polling, states):
    text, answer, reason = case
    rows = []
    with web.answering(answer or echoed) as url:
        feed = source(text.replace("URL", url).replace("DOWN", closed_port()), told.secrets)
        with polling(feed, record=rows.extend):
            state = until(lambda: (s := states().get("plant")) and s.state == "failing" and s)
            until(lambda: rows or state.reason == "definition")
    assert re.fullmatch(reason, state.reason)
    everything = told(rows)
    assert "plant" in everything
    for word in SPELT:
        assert word not in everything


def test_link_with_a_secret_is_gone_on_with_after_a_restart(web, told, polling, intake):
    asked = []

    def answer(request):
        asked.append(request.query)
        if "page" in request.query and len(asked) < 4:
            return 500, {}, b""
        return (200, {}, level(2)) if "page" in request.query else paged(request)

    with web.answering(answer) as url:
        feed = source(f'url = "{url}"\nparams = {{ key = "SECRET" }}\n[source.page]\nby = "link"', told.secrets)
        for count in (2, 5):
            with polling(feed):
                until(lambda count=count: len(asked) >= count)
    assert intake.bodies()[:2] == [level(1), level(2)]
    assert all(query["key"] == SECRET for query in asked)
    assert not any(word in told([]) for word in SPELT)


def test_secret_that_appears_later_is_found(web, secrets, catalog, intake, states):
    (secrets / "key").unlink()

    def listed():
        try:
            yield "default", source(f'url = "{url}"\nheaders = {{ x-key = "SECRET" }}', secrets)
        except FeedDefinitionError as error:
            yield "default", Unusable("plant", error.message)

    with web.answering(lambda request: (200, {}, level(1))) as url:
        poller = Poller(listed, catalog, intake.submit, policy=LOCAL, pacing=FAST)
        poller.start()
        try:
            state = until(lambda: states().get("plant"))
            assert (state.state, state.reason) == ("failing", "definition") and f"{secrets}/key" in state.detail
            (secrets / "key").write_text(SECRET)
            until(lambda: states()["plant"].state == "ok")
        finally:
            assert poller.stop()
    assert web.requests[0].headers["x-key"] == SECRET
