"""Columns in the mill: every item is a point, in the ledger under its own number, or no record; and all adds up."""

import json

from tests.mill.house import House
from tests.mill.verifying import prove
from tidemill.decode.decoder import Decoder
from tidemill.model.payload import EntryKind

FEED = """
name = "hours"
input.columns = "$.hourly"
time = { path = "$.begin", step = "1h" }
tags.site.path = "$.site"
fields.level.path = "$.level"
"""
BEGIN = "2026-01-01T00:00:00Z"
BEGIN_NS = 1_767_225_600 * 10**9
HOUR_NS = 3600 * 10**9


def hourly(*levels: object) -> bytes:
    return json.dumps({"hourly": {"begin": BEGIN, "site": "a", "level": levels}}).encode()


def test_items_are_points_or_rejections_by_their_number(house: House) -> None:
    house.texts.apply(house.tenant, "hours", FEED)
    house.texts.apply(house.tenant, "loose", FEED.replace("hours", "loose") + 'input.on_fault = "reject"\n')
    refused = hourly(None, 1, "x", 3)
    faults = Decoder(house.book.current(house.tenant, "hours")).check_payload(refused, "json", 0)
    assert [fault.path for fault in faults] == ["$.hourly.level[2]"]
    house.send("hours", refused, kind=EntryKind.REFUSED, faults=faults)
    unequal = hourly(1).replace(b'"site": "a"', b'"site": ["a", "b"]')
    house.send("hours", unequal, kind=EntryKind.REFUSED, faults=Decoder(house.book.current(house.tenant, "hours"))
               .check_payload(unequal, "json", 0))  # fmt: skip
    house.send("loose", hourly(None, 1, "x", None, 5))
    house.work()
    rejected = [(row["seq"], row["idx"], row["time"], row["reasons"], row["record"]) for row in house.all("rejections")]
    assert sorted(row[:2] for row in rejected) == [(1, 1), (1, 2), (1, 3), (2, 0), (3, 2)]
    by_place = {row[:2]: row[2:] for row in rejected}
    assert by_place[3, 2][1:] == (["wrong_type"], '{"site": "a", "level": "x"}')
    assert by_place[1, 3][1] == ["payload_refused"]
    assert by_place[2, 0][1] == ["unequal_length"]
    assert house.values("level") == {BEGIN_NS + HOUR_NS: 1, BEGIN_NS + 4 * HOUR_NS: 5}
    counts = {row["seq"]: (row["accepted"], row["rejected"]) for row in house.all("payloads")}
    assert counts == {1: (0, 3), 2: (0, 1), 3: (2, 1)}
    prove(house)
