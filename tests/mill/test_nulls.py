"""Null values are accounted for: why, receipts, deletions, replays and the verification know records that left no
point."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.mill.house import House
from tests.mill.test_retention import Clocks, retention
from tests.mill.verifying import prove
from tidemill.model.deletion import Deletion
from tidemill.model.time import parse_instant
from tidemill.query.parameters import read_query
from tidemill.query.queries import Queries
from tidemill.query.why import WhyQuery
from tidemill.store.queries import query

T1, T2, T3 = (f"2026-01-31T2{hour}:15:00Z" for hour in (1, 2, 3))
SITE = """
name = "site"
[time]
path = "$.t"
format = "rfc3339"
[tags.site]
path = "$.site"
[fields.power]
path = "$.power"
required = false
[fields.energy]
path = "$.energy"
required = false
"""
PANEL = """
name = "panel"
[time]
path = "$.t"
format = "rfc3339"
[tags.site]
path = "$.site"
[registers]
except_keys = ["t", "site"]
"""
FORGET = query(
    "forget_nulls",
    """
    INSERT INTO payloads
    SELECT * REPLACE (NULL AS nulls, NULL AS first_time, NULL AS last_time, {version:UInt64} AS version)
    FROM payloads FINAL WHERE tenant = {tenant:String} AND receipt = {receipt:String}
    """,
)


def install(house: House, text: str) -> None:
    house.texts.apply(house.tenant, "panel" if "[registers]" in text else "site", text)


def why(house: House, feed: str, field: str, time: str, site: str = "s1") -> dict[str, Any]:
    """The story of an instant as the API gives it."""
    queries = Queries(house.store, house.log, house.book, applied=lambda tenant: (house.mill.progress.checkpoint,))
    asked = read_query([("feed", feed), ("field", field), ("tag.site", site), ("time", time)], WhyQuery, ("site",))
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(queries.why.why(house.tenant, asked)))
    return found


def verdict(house: House, *of: str) -> tuple[str, str]:
    told = why(house, *of)["verdict"]
    return told["state"], told["sentence"]


def receipts(house: House) -> dict[int, str]:
    return {row["seq"]: row["receipt"] for row in house.all("payloads")}


def test_a_null_value_was_received(house: House) -> None:
    install(house, SITE)
    first = house.send(
        "site", [{"t": T1, "site": "s1", "power": 1.5, "energy": 2}, {"t": T2, "site": "s1", "power": None}]
    )
    house.work()
    receipt = receipts(house)[first]
    came = f"A record of {T2} came as record 1 of payload {receipt}; its value of"
    assert verdict(house, "site", "power", T2) == ("received_null", f"{came} 'power' was null or absent.")
    assert verdict(house, "site", "energy", T2) == ("received_null", f"{came} 'energy' was null or absent.")
    assert verdict(house, "site", "energy", T1)[0] == "stands"
    assert verdict(house, "site", "energy", T3) == (
        "never_received",
        f"No record of {T3} was ever received for this series.",
    )
    assert verdict(house, "site", "power", T2, "s2")[0] == "never_received"
    story = why(house, "site", "power", T2)
    assert [event["event"] for event in story["events"]] == ["received", "null_value"]
    assert story["events"][1]["facts"] == {"receipt": receipt, "index": 1}


def test_the_value_that_comes_later_stands(house: House) -> None:
    install(house, SITE)
    house.send("site", {"t": T2, "site": "s1", "power": None, "energy": None})
    later = house.send("site", {"t": T2, "site": "s1", "power": 7})
    house.send("site", {"t": T2, "site": "s1", "power": None, "energy": 1})
    house.work()
    state, sentence = verdict(house, "site", "power", T2)
    assert state == "stands"
    assert f"7 stands at {T2}, from record 0 of payload {receipts(house)[later]}" in sentence
    assert "2 more came without a value" in sentence
    events = [event["event"] for event in why(house, "site", "power", T2)["events"]]
    assert sorted(events) == sorted(["received", "null_value", "received", "accepted", "received", "null_value"])
    assert house.all("replaced") == []


@pytest.mark.parametrize("policy", ["first", "last", "keep"])
def test_a_null_is_known_under_every_policy(house: House, policy: str) -> None:
    install(house, f'duplicates = "{policy}"\n{SITE.replace("required = false", "required = true", 1)}')
    sent = house.send("site", {"t": T2, "site": "s1", "power": 1, "energy": None})
    house.work()
    (row,) = house.all("payloads")
    assert (row["accepted"], row["rejected"]) == (1, 0)
    state, sentence = verdict(house, "site", "energy", T2)
    assert state == "received_null"
    assert receipts(house)[sent] in sentence
    assert verdict(house, "site", "power", T2)[0] == "stands"


def test_items_without_a_value_that_are_no_records_are_said_not_to_be_known(house: House) -> None:
    """Of a feed that needs a field; where all fields are optional, such items are records."""
    columns = SITE.replace("[time]", '[input]\ncolumns = "$.h"\n[time]').replace('"$.site"', '"$^.site"')
    body = {"site": "s1", "h": {"t": [T1, T2], "power": [1, None], "energy": [2, None]}}
    for site, text in (("s1", columns), ("s2", columns.replace("required = false", "required = true", 1))):
        install(house, text)
        current = house.texts.current(house.tenant, "site")
        assert current is not None
        house.send("site", body | {"site": site}, feed_version=current.version)
    house.work()
    assert verdict(house, "site", "energy", T2)[0] == "received_null"
    assert verdict(house, "site", "energy", T2, "s2") == (
        "never_received",
        f"No record of {T2} is known to have come for this series. Of this feed, items of its arrays whose values are"
        " all null are no records, and are not noted.",
    )
    prove(house)


def test_a_replay_notes_the_nulls_of_what_an_earlier_version_applied(house: House) -> None:
    install(house, SITE)
    sent = house.send("site", {"t": T2, "site": "s1", "power": None, "energy": 1})
    house.work()
    store = type(house.store)(house.store.address, queries={"forget_nulls": FORGET})
    receipt, version = receipts(house)[sent], house.mill.context.versions.next()
    store.command("forget_nulls", tenant=house.tenant, receipt=receipt, version=version)
    state, sentence = verdict(house, "site", "power", T2)
    assert (state, "an earlier version of Tidemill applied are not known" in sentence) == ("never_received", True)
    assert house.replay("site", 1).state == "done"
    assert verdict(house, "site", "power", T2)[0] == "received_null"
    assert f"no record of {T1} was ever received" in verdict(house, "site", "power", T1)[1]


def test_null_registers_are_known(house: House) -> None:
    install(house, PANEL)
    house.send("panel", [{"t": T1, "site": "s1", "0100": 4, "0200": None}, {"t": T2, "site": "s1", "0100": None}])
    house.work()
    assert [row["value"] for row in house.all("points")] == [4]
    assert verdict(house, "panel", "0200", T1)[0] == "received_null"
    assert verdict(house, "panel", "0100", T2)[0] == "received_null"
    assert verdict(house, "panel", "0300", T2)[0] == "never_received"
    prove(house)


def test_a_deletion_takes_the_trace_and_the_bytes(house: House) -> None:
    install(house, SITE)
    kept = house.send("site", [{"t": T1, "site": "s2", "power": 1}, {"t": T1, "site": "s1", "power": None}])
    whole = house.send("site", {"t": T2, "site": "s1", "power": None})
    other = house.send("site", {"t": T2, "site": "s2", "power": None})
    house.work()
    house.ask(Deletion(kind="range", feed="site", tags={"site": "s1"}))
    house.work()
    states = {row["seq"]: (row["state"], row["body"] != "") for row in house.all("payloads")}
    assert states[kept] == ("applied", True)
    assert states[whole] == ("deleted", False)
    assert states[other] == ("applied", True)
    assert verdict(house, "site", "power", T1)[0] == "deleted"
    assert verdict(house, "site", "power", T2)[0] == "deleted"
    assert verdict(house, "site", "power", T2, "s2")[0] == "received_null"
    house.send("site", {"t": T2, "site": "s1", "power": None})
    house.work()
    assert verdict(house, "site", "power", T2)[0] == "received_null"
    prove(house)


def test_a_replay_under_another_definition_moves_the_trace(house: House) -> None:
    install(house, SITE)
    house.send("site", {"t": T1, "u": T2, "site": "s1", "power": None})
    house.work()
    install(house, SITE.replace('"$.t"', '"$.u"'))
    assert house.replay("site", 2).state == "done"
    assert verdict(house, "site", "power", T1)[0] == "never_received"
    assert verdict(house, "site", "power", T2)[0] == "received_null"
    prove(house)


def test_values_past_retention_are_known_from_their_payloads(build: Callable[..., House]) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    install(house, f'{SITE}\n[retention]\npoints = "1d"\n')
    house.send("site", {"t": T1, "site": "s1", "power": 3.5}, received_ns=clocks.now())
    house.work()
    assert verdict(house, "site", "power", T1)[0] == "stands"
    clocks.pass_days(2)
    retention(house, clocks).run_due()
    state, sentence = verdict(house, "site", "power", T1)
    assert (state, "3.5 came with record 0" in sentence) == ("expired", True)
    assert verdict(house, "site", "power", T2)[0] == "never_received"


def test_a_missing_sample_is_told_in_the_same_words(house: House) -> None:
    body = {"name": "pump", "tags": {"site": "s1"}, "start": T1, "interval": "1h", "values": [1.5, None]}
    sent = house.send("signals", body)
    house.work()
    (row,) = house.all("series")
    queries = Queries(house.store, house.log, house.book, applied=lambda tenant: (house.mill.progress.checkpoint,))
    asked = read_query([("series", f"{row['series']:016x}"), ("time", T2)], WhyQuery, ())
    found = queries.why.why(house.tenant, asked)
    came = f"A record of {T2} came as record 1 of payload {receipts(house)[sent]}; its value of 'value' was null or"
    assert (found.verdict.state, found.verdict.sentence) == ("received_null", f"{came} absent.")
    assert [event.event for event in found.events] == ["received", "null_value"]
    assert queries.receipts.receipt(house.tenant, receipts(house)[sent]).missing == 1


def test_the_lineage_of_a_window_counts_nulls_apart(house: House) -> None:
    install(house, SITE + '[rollups]\nevery = "1d"\ninterval = "6h"\n')
    house.send("site", [{"t": T1, "site": "s1", "power": 1}, {"t": T2, "site": "s1"}, {"t": T3, "site": "s2"}])
    house.work()
    queries = Queries(house.store, house.log, house.book)
    (row,) = house.all("series")
    window = (house.tenant, f"{row['series']:016x}", parse_instant("2026-01-31T00:00:00Z"), 10)
    lineage = queries.lineage.window_lineage(*window)
    assert (lineage.window.count, lineage.window.expected, lineage.window.coverage) == (1, 4.0, 0.25)
    assert lineage.missing == 1
    assert queries.receipts.receipt(house.tenant, receipts(house)[1]).missing == 5
    house.ask(Deletion(kind="range", feed="site", start_ns=parse_instant(T2)))
    house.work()
    assert queries.lineage.window_lineage(*window).missing == 0


def test_a_record_for_a_sealed_window_is_rejected_for_certain(build: Callable[..., House]) -> None:
    clocks = Clocks()
    house = build(clock=clocks.now)
    install(house, SITE + '[retention]\npoints = "1d"\nseal_rollups = true\n[rollups]\nevery = "1h"\n')
    house.send("site", {"t": T1, "site": "s1", "power": 3.5}, received_ns=clocks.now())
    house.work()
    clocks.pass_days(2)
    retention(house, clocks).run_due()
    late = house.send("site", {"t": T1, "site": "s1", "power": 4}, received_ns=clocks.now())
    house.work()
    state, sentence = verdict(house, "site", "power", T1)
    assert (state, f"record 0 of payload {receipts(house)[late]} was rejected (window_sealed)" in sentence) == (
        "rejected",
        True,
    )
