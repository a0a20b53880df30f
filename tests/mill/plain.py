"""What the tables must say of location payloads, read plainly from the contract: no batches, no order of application.

A record is its `second`, `lat`, `speed` (null: it has none) and `user`. A latitude above 90 is rejected by a rule.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.mill.test_worker import MINUTE, fix
from tidemill.model.time import NS_PER_S

LOCATION = """
name = "location"
duplicates = "POLICY"
[input]
on_fault = "reject"
[time]
path = "$.timestamp"
offset = "optional"
zone = "America/New_York"
[tags.user_id]
path = "$.user_id"
[fields.lat]
path = "$.lat"
min = -90
max = 90
[fields.speed]
path = "$.speed"
required = false
[rollups]
every = "1m"
"""
Record = dict[str, Any]
Tables = dict[str, dict[Any, Any]]


def location(policy: str, more: str = "") -> str:
    """The feed with this duplicate policy."""
    return LOCATION.replace("POLICY", policy) + more


def record(second: int, lat: float, speed: float | None, user: int) -> Record:
    """A record of a payload. Optional fields: the loser may have one that the winner lacks."""
    whole = fix(second, f"u{user}", lat=lat)
    sent = {name: whole[name] for name in ("timestamp", "lat", "user_id")}
    return sent | ({} if speed is None else {"speed": speed})


RECORDS = st.lists(
    st.builds(
        record,
        second=st.integers(0, 2),
        lat=st.sampled_from([1.0, 2.0, 3.0, 200.0]),
        speed=st.none() | st.sampled_from([5.0, 6.0]),
        user=st.integers(0, 1),
    ),
    min_size=1,
    max_size=3,
)


def expected(policy: str, payloads: Mapping[int, Sequence[Record]]) -> Tables:
    """The tables after payloads (by place in the log), as `tables` gives them."""
    rejections, entrants = dict[Any, Any](), defaultdict[Any, list[Any]](list)
    for seq, records in sorted(payloads.items()):
        for idx, sent in enumerate(records):
            if sent["lat"] > 90:
                rejections[seq, idx] = (["out_of_range"], (0, 0))
            else:
                entrants[sent["user_id"], _time(sent)].append((seq, idx, sent))
    points, replaced = dict[Any, Any](), dict[Any, Any]()
    for (user, time), records in entrants.items():
        if policy == "first":
            first, *later = records
            rejections |= {(seq, idx): (["duplicate"], first[:2]) for seq, idx, _ in later}
        kept = records[:1] if policy == "first" else records
        for field in ("lat", "speed"):
            values = [(seq, idx, sent.get(field)) for seq, idx, sent in kept if policy == "first" or field in sent]
            for place in range(len(values)):
                key = (user, field, time, values[place][:2] if policy == "keep" else ())
                if place + 1 < len(values) and policy == "last":
                    replaced[user, field, time, values[place][:2]] = values[place][2]
                else:
                    points[key] = values[place]
    counts = {
        seq: (len(records) - lost, lost)
        for seq, records in payloads.items()
        for lost in [sum((seq, idx) in rejections for idx in range(len(records)))]
    }
    return {
        "points": points,
        "rejections": rejections,
        "payloads": counts,
        "rollups": _rollups(points),
        "replaced": replaced,
        "series": dict.fromkeys({key[:2] for key in points}, True),
    }


def tables(everything: Mapping[str, Sequence[Mapping[str, Any]]]) -> Tables:
    """What a store says (`House.everything`), in the shape of `expected`."""
    names = {row["series"]: (row["tags"]["user_id"], row["field"]) for row in everything["series"]}
    place = {row["seq"]: row for row in everything["payloads"]}
    return {
        "points": {
            (*names[row["series"]], row["time"], (row["seq"], row["idx"]) if row["ordinal"] else ()): (
                row["seq"],
                row["idx"],
                row["value"],
            )
            for row in everything["points"]
        },
        "rejections": {
            (row["seq"], row["idx"]): (row["reasons"], (row["winner_seq"], row["winner_idx"]))
            for row in everything["rejections"]
        },
        "payloads": {seq: (row["accepted"], row["rejected"]) for seq, row in place.items()},
        "rollups": {
            names[row["series"]]: (row["count"], row["mean"], row["min"], row["max"]) for row in everything["rollups"]
        },
        # Not by which: a value that came late was replaced by the one that stood then.
        "replaced": {
            (*names[row["series"]], row["time"], (row["seq"], row["idx"])): row["value"]
            for row in everything["replaced"]
        },
        "series": {names[row["series"]]: not row["deleted"] for row in everything["series"]},
    }


def _time(sent: Record) -> int:
    return MINUTE + int(sent["timestamp"][-2:]) * NS_PER_S


def _rollups(points: Mapping[Any, Any]) -> dict[Any, Any]:
    values = defaultdict[Any, list[float]](list)
    for (user, field, _, _), (_, _, value) in points.items():
        if value is not None:
            values[user, field].append(value)
    return {key: (len(of), sum(of) / len(of), min(of), max(of)) for key, of in values.items()}
