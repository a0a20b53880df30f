"""Binary records over HTTP: sent as bytes, as base64 in a text, refused with the record's bytes in the ledger."""

import base64
import struct

from tests.support.server import Server

FEED = """
name = "{name}"

[input]
formats = ["{format}"]
on_fault = "{on_fault}"
layout = {{ record_bytes = 10, header_bytes = 2 }}

[time]
at = 0
type = "uint32_be"
format = "unix_s"

[tags.station]
in = "header"
at = 0
type = "uint16_le"

[fields.level]
at = 4
type = "int16_be"
scale = 0.01
max = 100

[fields.flow]
at = 6
type = "float32_le"
"""


def payload(*levels: int) -> bytes:
    rows = (struct.pack(">Ih", 1_700_000_000 + n, level) + struct.pack("<f", n) for n, level in enumerate(levels))
    return struct.pack("<H", 300) + b"".join(rows)


def test_binary_records_become_points_and_faulty_ones_ledger_rows(server: Server) -> None:
    for name, format in (("packed", "binary"), ("wrapped", "base64")):
        feed = FEED.format(name=name, format=format, on_fault="reject")
        assert server.client.put(f"/v1/feeds/{name}", content=feed).status_code == 201
    body = payload(150, 20_000, -150)
    sent = {"packed": body, "wrapped": base64.encodebytes(body)}
    receipts = {name: server.client.post(f"/v1/feeds/{name}", content=raw).json() for name, raw in sent.items()}
    for name, receipt in receipts.items():
        outcome = server.wait_applied(receipt["id"])
        assert (outcome["accepted"], outcome["rejected"]) == (2, 1)
        points = server.client.get(f"/v1/feeds/{name}/points?station=300&field=level").json()
        assert [(point["time"], point["value"]) for point in points] == [
            ("2023-11-14T22:13:20Z", 1.5),
            ("2023-11-14T22:13:22Z", -1.5),
        ]
        [item] = server.client.get(f"/v1/rejections?feed={name}").json()["items"]
        assert (item["reasons"], item["record"]) == (["out_of_range"], body[12:22].hex())
        assert item["time"] == "2023-11-14T22:13:21Z"


def test_a_payload_that_is_no_binary_record_is_refused_with_a_sentence(server: Server) -> None:
    feed = FEED.format(name="strict-packed", format="binary", on_fault="refuse")
    assert server.client.put("/v1/feeds/strict-packed", content=feed).status_code == 201
    answer = server.client.post("/v1/feeds/strict-packed", json={"level": 3})
    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (400, ["wrong_size"])
    answer = server.client.post("/v1/feeds/strict-packed", content=payload(1, 20_000))
    assert [(e["path"], e["code"]) for e in answer.json()["errors"]] == [("$[1].level", "out_of_range")]
    outcome = server.wait_applied(answer.json()["receipt"])
    assert (outcome["accepted"], outcome["rejected"]) == (0, 2)
    answer = server.client.put("/v1/feeds/strict-packed", content=feed.replace("at = 6", "at = 7"))
    assert answer.status_code == 400
    assert "ends at byte 11, but a record has 10" in answer.text
