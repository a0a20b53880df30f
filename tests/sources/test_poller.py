"""The poller against real servers that are down, slow, silent or broken: nothing lost, doubled or delayed."""

import asyncio
import random
import threading
import time
from collections import Counter

import httpx
import msgspec
import pytest

from tests.sources.conftest import FAST, HERE, LOCAL, closed_port, drained, until
from tidemill.feeds.definition import Feed, Input
from tidemill.feeds.source import Source, SourceWindow
from tidemill.simulate.data_server import DataServer, DataServerOptions
from tidemill.simulate.fault_injector import FAULTS
from tidemill.simulate.meters import HOUSEHOLD_MUID, SOLAR_MUID, MeterServer, MetersOptions
from tidemill.simulate.server import running
from tidemill.sources.poller import Poller


def tally(url):
    return httpx.get(f"{url}/tally?points=1").json()


def points(bodies):
    """(time, tags) of each payload that is a point, counted: what can be compared with the tally."""
    found: Counter[str] = Counter()
    for body in bodies:
        try:
            point = msgspec.json.decode(body)
        except msgspec.DecodeError:
            continue
        found[f"{point['time']} {point['tags']}"] += 1
    return found


def handed_out(document):
    return Counter(f"{point['time']} {point['tags']}" for point in document["points"])


def test_server_is_drained_and_then_found_empty(polling, intake, states):
    with running(DataServer(DataServerOptions(count=500, rate=0))) as url:
        with polling(drained("telemetry", url)):
            until(lambda: states().get("telemetry") and states()["telemetry"].payloads == 500)
            until(lambda: states()["telemetry"].state == "empty")
        assert points(intake.bodies()) == handed_out(tally(url))
    state = states()["telemetry"]
    assert state.last_status == 404 and state.failures == 0 and state.waiting == 0
    assert state.polls == state.payloads + state.empty


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_lose_and_double_nothing(fault, polling, intake, states):
    options = DataServerOptions(count=40, rate=0, faults=f"{fault}=0.1", seed=3)
    with running(DataServer(options)) as url, polling(drained("telemetry", url, timeout="200ms", max_bytes=100_000)):
        until(lambda: tally(url)["handed_out"] == 40, 20)
        until(lambda: sum(points(intake.bodies()).values()) == 40)
        assert points(intake.bodies()) == handed_out(tally(url))
        assert tally(url)[f"fault_{fault}"] > 0
    failed = states()["telemetry"].failures
    assert failed > 0 if fault != "slow" else True


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("500", "bad_status"),
        ("hang", "timeout"),
        ("garbage", "garbage"),
        ("endless", "too_large"),
        ("reset", "protocol"),
        ("down", "refused"),
    ],
)
def test_state_says_why_a_source_fails(fault, reason, polling, states):
    faults = "" if fault == "down" else f"{fault}=1"
    limits = {"timeout": "100ms", "max_backoff": "200ms", "max_bytes": 100_000}
    with running(DataServer(DataServerOptions(faults=faults))) as url:
        feed = drained("telemetry", closed_port() if fault == "down" else url, **limits)
        with polling(feed):
            state = until(lambda: (s := states().get("telemetry")) and s.failures_in_a_row >= 3 and s)
    assert (state.state, state.reason) == ("failing", reason)
    assert state.detail and state.next_due_ns and state.since_ns
    assert state.last_status == {"500": 500, "garbage": 200}.get(fault)


def test_garbage_reaches_the_ledger_too(polling, intake):
    with running(DataServer(DataServerOptions(faults="garbage=1"))) as url, polling(drained("telemetry", url)):
        until(lambda: any(body.startswith(b"<html>") for body in intake.bodies()))


def test_hanging_source_does_not_delay_another(polling, intake, states):
    with (
        running(DataServer(DataServerOptions(faults="hang=1"))) as silent,
        running(DataServer(DataServerOptions(count=300, rate=0))) as fine,
        polling(*(drained(f"silent{n}", silent, timeout="20s") for n in range(8)), drained("fine", fine)),
    ):
        started = time.monotonic()
        until(lambda: len(intake.bodies()) == 300)
        assert time.monotonic() - started < 18
        assert tally(silent)["fault_hang"] == 8


def test_point_is_not_lost_while_intake_is_away(polling, intake, states):
    intake.up = False
    with running(DataServer(DataServerOptions(count=200, rate=0))) as url, polling(drained("telemetry", url)):
        until(lambda: (s := states().get("telemetry")) and s.reason == "intake_unavailable")
        assert tally(url)["handed_out"] <= FAST.in_flight, "nothing more is fetched while intake is away"
        intake.up = True
        until(lambda: len(intake.bodies()) == 200)
        assert points(intake.bodies()) == handed_out(tally(url))


def test_lost_answers_double_nothing(polling, intake):
    intake.lost_answers = 40
    with running(DataServer(DataServerOptions(count=100, rate=0))) as url, polling(drained("telemetry", url)):
        until(lambda: intake.calls >= 140)
        until(lambda: len(intake.bodies()) == 100)
        assert points(intake.bodies()) == handed_out(tally(url))


def test_restart_in_the_middle_loses_and_doubles_nothing(polling, intake, states):
    with running(DataServer(DataServerOptions(count=1000, rate=0, faults="slow=0.002"))) as url:
        for stop_at in (100, 300, 600):
            with polling(drained("telemetry", url, timeout="5s")):
                until(lambda stop_at=stop_at: len(intake.bodies()) >= stop_at)
        with polling(drained("telemetry", url, timeout="5s")):
            until(lambda: tally(url)["handed_out"] == 1000, 20)
            until(lambda: len(intake.bodies()) >= 1000)
        assert points(intake.bodies()) == handed_out(tally(url))
    assert states()["telemetry"].payloads == 1000, "counts go on after a restart"


def test_what_intake_could_not_take_before_a_restart_is_taken_after_it(polling, intake, catalog):
    intake.up = False
    with running(DataServer(DataServerOptions(count=50, rate=0))) as url:
        with polling(drained("telemetry", url)):
            until(lambda: catalog.list("unsent/default/telemetry/-/"))
            assert not any("unsent" in entry.key for entry in catalog.list("sources/")), "bodies are not listed"
        intake.up = True
        with polling(drained("telemetry", url)):
            until(lambda: len(intake.bodies()) == 50)
        assert points(intake.bodies()) == handed_out(tally(url))
    assert catalog.list("unsent/default/telemetry/-/") == []


def test_what_is_on_its_way_at_the_end_is_kept_however_long_intake_takes(polling, intake, catalog):
    async def never(*_, **more):
        await asyncio.sleep(60)

    intake.submit, submit = never, intake.submit
    pacing = msgspec.structs.replace(FAST, fetch_grace_s=0.1, submit_grace_s=0.2)
    with running(DataServer(DataServerOptions(count=3, rate=0))) as url:
        with polling(drained("telemetry", url), pacing=pacing):
            until(lambda: tally(url)["handed_out"] == 3)
        assert len(catalog.list("unsent/default/telemetry/-/")) == 3
        intake.submit = submit
        with polling(drained("telemetry", url)):
            until(lambda: len(intake.bodies()) == 3)
        assert points(intake.bodies()) == handed_out(tally(url))


def test_hanging_fetch_does_not_hold_up_the_end(polling, states):
    with (
        running(DataServer(DataServerOptions(faults="hang=1"))) as url,
        polling(drained("telemetry", url, timeout="20s")) as poller,
    ):
        until(lambda: tally(url).get("fault_hang"))
        started = time.monotonic()
        assert poller.stop()
        assert time.monotonic() - started < 18


def test_feeds_added_changed_and_removed_while_running(polling, intake, states):
    with (
        running(DataServer(DataServerOptions(count=10, rate=0))) as first,
        running(DataServer(DataServerOptions(count=10, rate=0, seed=2))) as second,
    ):
        feeds = [drained("a", first)]
        with polling(feeds) as poller:
            until(lambda: len(intake.bodies()) == 10)
            feeds.append(drained("b", second))
            poller.notify_changed()
            until(lambda: len(intake.bodies()) == 20)
            feeds[0] = drained("a", closed_port())
            poller.notify_changed()
            until(lambda: "a" in states() and states()["a"].reason == "refused")
            del feeds[0]
            poller.notify_changed()
            until(lambda: set(states()) == {"b"})


def test_source_that_cannot_be_polled_says_so_until_it_can(polling, states, caplog):
    feeds = [drained("feed", closed_port())]
    with polling(feeds) as poller:
        until(lambda: states().get("feed"))
        feeds[0] = drained("feed", "ftp://example.org/")
        poller.notify_changed()
        until(lambda: (s := states().get("feed")) and s.reason == "definition")
        feeds[0] = drained("feed", closed_port(), each={"muid": "a"})
        poller.notify_changed()
        until(lambda: set(states()) == {"feed/muid=a"})
    with polling([]):
        until(lambda: states() == {})
    faults = [line.levelname for line in caplog.records if "cannot be polled" in line.getMessage()]
    assert faults == ["WARNING"], "it is a person's fault, and no error of ours"


@pytest.mark.parametrize("url", ["http://[::1/", "http://x:port/"])
def test_one_broken_url_stops_no_other_source(url, polling, intake, states):
    with (
        running(DataServer(DataServerOptions(count=5, rate=0))) as fine,
        polling(drained("a", url), drained("b", fine)),
    ):
        until(lambda: len(intake.bodies()) == 5)
        until(lambda: (s := states().get("a")) and s.reason == "definition" and "source.url" in s.detail)


def test_a_list_of_sources_that_breaks_off_is_read_again(catalog, intake):
    tries = []

    def listed():
        tries.append(1)
        yield "default", drained("first", fine)
        if len(tries) < 3:
            raise RuntimeError("a definition cannot be read")

    with running(DataServer(DataServerOptions(count=5, rate=0))) as fine:
        poller = Poller(listed, catalog, intake.submit, policy=LOCAL, pacing=FAST)
        poller.start()
        try:
            until(lambda: len(intake.bodies()) == 5)
        finally:
            assert poller.stop()
    assert len(tries) == 3


def test_all_that_is_kept_of_the_sources_of_a_removed_feed_is_deleted(catalog, polling, intake, states):
    catalog.put("tokens/default/gone/-", b"{}")
    catalog.put("tokens/default/gone-not/-", b"{}")
    intake.up = False
    with (
        running(DataServer(DataServerOptions(count=5, rate=0))) as url,
        running(DataServer(DataServerOptions(count=5, rate=0))) as other,
    ):
        feeds, removed = [drained("gone", url), drained("gone-not", other)], []
        with polling(feeds, removed=lambda: removed) as poller:
            until(lambda: {"gone", "gone-not"} <= states().keys())
            feeds.pop(0)
            removed.append(("default", "gone"))
            poller.notify_changed()
            until(lambda: "gone" not in states() and not catalog.list("tokens/default/gone/"))
    kept = {entry.key.split("/")[2] for prefix in ("sources/", "unsent/", "tokens/") for entry in catalog.list(prefix)}
    assert kept == {"gone-not"}


def test_plain_source_is_polled_once_each_time(polling, intake):
    with running(DataServer(DataServerOptions(count=3, rate=0))) as url:
        feed = drained("plain", url, drain=False, every="100ms")
        with polling(feed):
            started = time.monotonic()
            until(lambda: len(intake.bodies()) == 3)
            assert time.monotonic() - started > 0.15


def meters(url, limit=5000, max_backoff="60s", **more):
    window = {"start": "2023-02-01T00:00:00Z", "size": "7d", "overlap": "1d", "format": "date", **more}
    params = {"measurement": "energy", "limit": str(limit), "start": "{start}", "stop": "{stop}"}
    each = {"muid": f"{HOUSEHOLD_MUID}, {SOLAR_MUID}"}
    source = Source(
        url=f"{url}/meterdata/measurement",
        params=params,
        each=each,
        every="50ms",
        max_backoff=max_backoff,
        allow=HERE,
        window=SourceWindow(**window),
    )
    return Feed(name="meters", input=Input(records="$.data"), source=source)


def records(bodies):
    return [
        (record["tags"]["muid"], record["timestamp"]) for body in bodies for record in msgspec.json.decode(body)["data"]
    ]


NOW = [0]


def clock():
    return NOW[0]


def at(text):
    from tidemill.model.time import parse_instant

    NOW[0] = parse_instant(text)


def test_windows_are_read_to_now_and_resumed_after_a_restart(polling, intake, states):
    server = MeterServer(MetersOptions(), clock_ns=clock)
    at("2023-02-20T10:00:00Z")
    with running(server) as url:
        with polling(meters(url), now_ns=clock):
            until(lambda: all(s.cursor == "2023-02-20T10:00:00Z" for s in states().values()) and len(states()) == 2)
        seen = set(records(intake.bodies()))
        assert len(seen) == 2 * (19 * 96 + 40)
        payloads = len(intake.bodies())
        at("2023-02-21T10:00:00Z")
        with polling(meters(url), now_ns=clock):
            until(lambda: all(s.cursor == "2023-02-21T10:00:00Z" for s in states().values()))
        again = records(intake.bodies()[payloads:])
        assert len(set(records(intake.bodies()))) == 2 * (20 * 96 + 40)
        assert min(moment for _, moment in again) == "2023-02-19T00:00:00.000Z", "it went on where it stopped"


@pytest.mark.parametrize(("limit", "format"), [(200, "date"), (40, "rfc3339")])
def test_windows_that_fill_the_limit_are_read_by_halves(limit, format, polling, intake, states):
    at("2023-02-20T10:00:00Z")
    rows = []
    with running(MeterServer(MetersOptions(), clock_ns=clock)) as url:
        with polling(meters(url, limit, format=format), now_ns=clock, record=rows.extend):
            until(lambda: len(states()) == 2 and all(s.cursor == "2023-02-20T10:00:00Z" for s in states().values()))
            payloads = len(intake.bodies())
            until(lambda: sum(row.result == "unchanged" for row in rows) > 40)
        assert len(set(records(intake.bodies()))) == 2 * (19 * 96 + 40), "nothing is left out"
        assert len(intake.bodies()) <= payloads + 12, "what did not change is not sent again"
    assert all(len(msgspec.json.decode(body)["data"]) < limit for body in intake.bodies())
    assert any(row.result == "truncated" for row in rows)


def test_the_shortest_window_that_fills_the_limit_is_a_failure(polling, intake, states):
    at("2023-02-20T10:00:00Z")
    with running(MeterServer(MetersOptions(), clock_ns=clock)) as url, polling(meters(url, 96), now_ns=clock):
        until(lambda: len(states()) == 2 and all(s.failures_in_a_row >= 3 for s in states().values()))
        assert {(s.state, s.reason, s.cursor) for s in states().values()} == {("failing", "truncated", None)}
        assert intake.bodies() == []


def test_garbage_for_a_window_is_submitted_once(polling, intake, states):
    at("2023-02-20T10:00:00Z")
    server = MeterServer(MetersOptions(faults="garbage=1"), clock_ns=clock)
    with running(server) as url, polling(meters(url, max_backoff="100ms"), now_ns=clock):
        until(lambda: len(states()) == 2 and all(s.failures_in_a_row >= 4 for s in states().values()))
        assert {(s.state, s.reason, s.cursor) for s in states().values()} == {("failing", "garbage", None)}
        assert intake.calls == 2


def test_unchanged_window_is_not_sent_again(polling, intake, states):
    at("2023-02-03T10:00:00Z")
    with running(MeterServer(MetersOptions(), clock_ns=clock)) as url, polling(meters(url), now_ns=clock):
        until(lambda: len(states()) == 2 and all(s.polls >= 6 for s in states().values()))
        assert len(intake.bodies()) == 2 * 2, "the first window, and the one that begins with the overlap"


def test_cursor_stays_until_the_window_is_taken(polling, intake, states, catalog):
    at("2023-02-03T10:00:00Z")
    intake.up = False
    with running(MeterServer(MetersOptions(), clock_ns=clock)) as url:
        with polling(meters(url), now_ns=clock):
            until(lambda: len(states()) == 2 and all(s.reason == "intake_unavailable" for s in states().values()))
        assert [e.key for e in catalog.list("sources/") if e.key.endswith("/cursor")] == []
        intake.up = True
        with polling(meters(url), now_ns=clock):
            until(lambda: all(s.cursor for s in states().values()))
        assert len(set(records(intake.bodies()))) == 2 * (2 * 96 + 40)
        bodies = intake.bodies()
        assert len(bodies) == len(set(bodies)), "the same bytes under the same key are one payload"


def test_window_source_with_a_wrong_path_does_not_run_ahead(polling, states):
    at("2023-02-20T10:00:00Z")
    with running(MeterServer(MetersOptions(), clock_ns=clock)) as url, polling(meters(f"{url}/old"), now_ns=clock):
        until(lambda: len(states()) == 2 and all(s.reason == "bad_status" for s in states().values()))
        assert all(s.cursor is None for s in states().values())


def test_every_poll_is_recorded_and_recording_may_fail_for_a_while(polling, intake):
    rows, failures = [], iter([True, True])

    def record(polls):
        if next(failures, False):
            raise OSError("the store is away")
        rows.extend(polls)

    with (
        running(DataServer(DataServerOptions(count=40, rate=0, faults="500=0.2"))) as url,
        polling(drained("telemetry", url), record=record, rng=random.Random(1)),
    ):
        until(lambda: sum(row.result == "data" for row in rows) == 40)
        until(lambda: any(row.result == "empty" for row in rows))
    assert {row.result for row in rows} == {"data", "empty", "bad_status"}
    taken = [row for row in rows if row.result == "data"]
    assert all(row.receipt and row.sha256 and row.status == 200 and row.size_bytes for row in taken)
    assert len({row.receipt for row in taken}) == 40


def test_a_ledger_that_hangs_holds_up_nothing(polling, intake, states, catalog):
    going_on = threading.Event()
    try:
        with (
            running(DataServer(DataServerOptions(count=40, rate=0))) as url,
            polling(drained("telemetry", url), record=lambda polls: going_on.wait(30)) as poller,
        ):
            until(lambda: len(intake.bodies()) == 40)
            until(lambda: (s := states().get("telemetry")) and s.payloads == 40)
            started = time.monotonic()
            assert poller.stop()
            assert time.monotonic() - started < 28
    finally:
        going_on.set()
