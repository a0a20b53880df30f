"""An answer without the declared records is no answer: nothing moves on, and everybody is told."""

import json

import pytest

from tests.sources.conftest import HERE, until
from tidemill.feeds.definition import Feed, Field, Input, TimePolicy
from tidemill.feeds.source import Source, SourceNothing, SourcePaging, SourceWindow

YEAR = SourceWindow(start="2020-01-01T00:00:00Z", size="3650d")
BUSY = b'{"error": true, "reason": "out of turn"}'


def feed(url, **more):
    options = {"every": "30ms", "max_backoff": "30ms", "allow": HERE, **more}
    return Feed(
        name="plant",
        input=Input(records="$.rows"),
        time=TimePolicy(path="$.at"),
        fields={"level": Field(path="$.level")},
        source=Source(url=url, **options),
    )


def rows(*levels):
    return json.dumps({"rows": [{"at": "2021-01-01T00:00:00Z", "level": level} for level in levels]}).encode()


@pytest.mark.parametrize("kind", ["windows", "pages", "plain", "drained"])
def test_the_same_is_asked_until_it_is_answered(kind, web, polling, intake, states):
    more = {
        "windows": {"params": {"from": "{start}"}, "window": YEAR},
        "pages": {"page": SourcePaging(by="cursor", cursor_path="$.next", param="after")},
        "plain": {"skip_unchanged": True},
        "drained": {"drain": True, "empty_status": (404,)},
    }[kind]
    answers = [BUSY, BUSY, rows(1)]
    ledger = []

    def answer(request):
        return 200, {}, answers.pop(0) if answers else b'{"rows": []}'

    with web.answering(answer) as url, polling(feed(url, **more), record=ledger.extend):
        until(lambda: rows(1) in intake.bodies())
        until(lambda: (s := states().get("plant")) and s.state in ("empty", "unchanged"))
        until(lambda: "data" in [row.result for row in ledger])
    first = [request.query for request in web.requests[:3]]
    assert first[0] == first[1] == first[2]
    told = [row for row in ledger if row.result == "unexpected"]
    assert told and all("$.rows: is missing" in row.detail and "out of turn" in row.detail for row in told)
    assert BUSY in intake.bodies(), "what came is kept"


def test_the_state_says_what_came_instead(web, polling, states):
    with (
        web.answering(lambda request: (200, {}, BUSY)) as url,
        polling(feed(url, params={"from": "{start}"}, window=YEAR)),
    ):
        state = until(lambda: (s := states().get("plant")) and s.failures_in_a_row > 1 and s)
    assert (state.state in ("failing", "open"), state.reason, state.cursor) == (True, "unexpected", None)
    assert state.detail.startswith("the answer does not hold the declared records") and "out of turn" in state.detail


def test_an_error_beside_records_and_a_declared_nothing(web, polling, intake, states):
    nothing = (SourceNothing(path="$.code", equals=204),)
    with web.answering(lambda request: (200, {}, b'{"code": 204}')) as url:
        with polling(feed(url, window=YEAR, params={"from": "{start}"}, nothing=nothing)):
            until(lambda: (s := states().get("plant")) and s.empty and s.cursor)
        assert intake.bodies() == []
        web.answer = lambda request: (200, {}, b'{"rows": [{"at": "x", "level": 1}], "oops": {"text": "no unit p9"}}')
        with polling(feed(url, error_path="$.oops.text")):
            state = until(lambda: (s := states().get("plant")) and s.reason and s)
    assert state.reason == "unexpected" and 'an error at $.oops.text: "no unit p9"' in state.detail


def test_a_marked_window_with_one_bad_record_is_read(web, polling, intake, states):
    body = b"\xef\xbb\xbf" + rows(1, 2).replace(b"2}", b"NaN}")
    with (
        web.answering(lambda request: (200, {}, body)) as url,
        polling(feed(url, params={"from": "{start}"}, window=YEAR)),
    ):
        until(lambda: (s := states().get("plant")) and s.cursor and s.state in ("ok", "unchanged"))
    assert intake.bodies()[0] == body
