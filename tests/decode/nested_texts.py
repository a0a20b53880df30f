"""Documents of every shape that a path of records can have, with faults in them, and the feeds that read them."""

import json
from typing import Any

from hypothesis import strategies as st

WORDS = st.sampled_from(['"a"', '"b"', '"ü"', '"\\u0041"', '"a\\/b"', '"c:d"', '"\\ud800"', '""', "7", "null", "NaN"])
GOOD_WORDS = st.sampled_from(['"a"', '"b"', '"c:d"', '"ü"'])
NUMBERS = st.sampled_from(["1", "-2.5", "1e3", '"x"', "null", "true", "[1]", "NaN", "1e999"])
GOOD_NUMBERS = st.sampled_from(["1", "-2.5", "1e3", "0"])
TIMES = st.sampled_from(
    ['"2024-01-01T00:00:00Z"', '"2024-05-06 07:08:09"', '"2024-02-30T00:00:00Z"', '"1850-01-01T00:00:00Z"', "5", "null"]
)
GOOD_TIMES = st.sampled_from(['"2024-01-01T00:00:00Z"', '"2024-05-06 07:08:09"', '"2024-05-06T07:08:09.5+02:00"'])
DAYS = st.sampled_from(['"2024-01-01"', '"2024-01-02"', '"2024-01-03"', '"2024-02-30"', '"x"', '"\\u0032024-01-04"'])
WHITE = st.sampled_from(["", "", "", " ", "\n\t"])

ENVELOPE = """
name = "envelope"
input.records = "$.readings"
time = { path = "$.t", offset = "optional", zone = "Europe/Zurich" }
tags.device.path = "$^.device"
attributes.note = { path = "$^.meta.note", max_length = 3 }
fields.base = { path = "$^.base", required = false, scale = 2, max = 1000 }
fields.value.path = "$.v"
labels.path = "$^.labels"
"""
GROUPS = """
name = "groups"
input.records = "$.data.result[*].values"
time = { path = "$[0]", offset = "optional", zone_path = "$^^^.zone" }
tags.job.path = "$^.metric.job"
tags.kind = { path = "$^^.kind", required = false }
fields.value.path = "$[1]"
fields.more = { path = "$[3].x", required = false }
"""
KEYED = """
name = "keyed"
input.records = "$.days.*"
time = { path = "$~", offset_path = "$^.offset" }
tags.site.path = "$^.site"
fields.value.path = "$.v"
"""
RATES = """
name = "rates"
input.records = "$.rates.*.*"
time = { path = "$^~", offset = "optional", zone = "UTC" }
tags.currency = { path = "$~", max_length = 3 }
tags.base.path = "$^^.base"
fields.rate.path = "$"
"""
LISTS = """
name = "lists"
input.records = "$.rooms.*[*].points"
time.path = "$.t"
tags.room.path = "$^^~"
tags.meter.path = "$^.meter"
fields.value.path = "$.v"
"""
PAIRS = """
name = "pairs"
input.records = "$[1]"
time = { path = "$[1]", format = "unix_s" }
fields.value.path = "$[0]"
"""
REGISTERS = """
name = "registers"
input.records = "$.meters.*"
time.path = "$.t"
tags.meter.path = "$~"
registers.except_keys = ["t"]
"""


def joined(parts: list[str], brackets: str, space: str) -> str:
    return brackets[0] + space + f"{space},{space}".join(parts) + space + brackets[1]


@st.composite
def lists(draw: st.DrawFn, items: Any, most: int = 3) -> str:
    return joined(draw(st.lists(items, max_size=most)), "[]", draw(WHITE))


@st.composite
def objects(draw: st.DrawFn, members: dict[str, Any], faulty: bool) -> str:
    """An object with these members, in any order; with faults one may be missing, double or of another type."""
    names = draw(st.permutations(sorted(members)))
    parts = [f"{json.dumps(name)}:{draw(members[name])}" for name in names]
    if faulty and parts and draw(st.integers(0, 5)) == 0:
        number = draw(st.integers(0, len(parts) - 1))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            parts.pop(number)
        elif kind == 1:
            parts.append(parts[number])
        else:
            parts.append(draw(st.sampled_from(['"other":NaN', '"other":{"v":1,"t":2}', '"\\u0076":7', '"x.y":[NaN]'])))
    return joined(parts, "{}", draw(WHITE))


@st.composite
def keyed(draw: st.DrawFn, keys: Any, values: Any) -> str:
    parts = [f"{key}:{value}" for key, value in draw(st.lists(st.tuples(keys, values), max_size=3))]
    return joined(parts, "{}", draw(WHITE))


def sometimes(faulty: bool, value: Any) -> Any:
    """The value, and with faults sometimes something else in its stead."""
    return st.one_of([value] * 8 + [st.sampled_from(["5", "null", "[]", "{}", '"x"', "[[]]"])]) if faulty else value


def document(name: str, faulty: bool) -> Any:
    """Documents for the feed of this name."""
    words, numbers, times = (
        (
            st.one_of(GOOD_WORDS, GOOD_WORDS, WORDS),
            st.one_of(GOOD_NUMBERS, GOOD_NUMBERS, NUMBERS),
            st.one_of(GOOD_TIMES, TIMES),
        )
        if faulty
        else (GOOD_WORDS, GOOD_NUMBERS, GOOD_TIMES)
    )
    days = DAYS if faulty else st.sampled_from(['"2024-01-01"', '"2024-01-02"'])
    point = sometimes(faulty, objects({"t": times, "v": numbers}, faulty))
    value = sometimes(faulty, objects({"v": numbers}, faulty))

    def array(*items: Any) -> Any:
        return st.tuples(*items, WHITE).map(lambda parts: joined(list(parts[:-1]), "[]", parts[-1]))

    pair = sometimes(faulty, array(times, numbers) | array(times, numbers, words, objects({"x": numbers}, faulty)))
    metric = objects({"job": words}, faulty)
    names = words.filter(lambda word: word[0] == '"')
    meter = objects({"meter": words, "points": sometimes(faulty, lists(point))}, faulty)
    shapes: dict[str, Any] = {
        "envelope": lambda: objects(
            {
                "device": words,
                "meta": sometimes(faulty, objects({"note": words}, faulty)),
                "base": numbers,
                "labels": sometimes(faulty, lists(words)),
                "readings": sometimes(faulty, lists(point)),
            },
            faulty,
        ),
        "groups": lambda: objects(
            {
                "zone": st.just('"Europe/Zurich"'),
                "data": objects(
                    {
                        "kind": words,
                        "result": lists(
                            sometimes(
                                faulty,
                                objects({"metric": metric, "values": sometimes(faulty, lists(pair))}, faulty),
                            )
                        ),
                    },
                    faulty,
                ),
            },
            faulty,
        ),
        "keyed": lambda: objects(
            {"site": words, "offset": numbers, "days": sometimes(faulty, keyed(days, value))}, faulty
        ),
        "rates": lambda: objects(
            {
                "base": words,
                "rates": keyed(days, sometimes(faulty, keyed(names, numbers))),
            },
            faulty,
        ),
        "lists": lambda: objects(
            {
                "rooms": keyed(
                    GOOD_WORDS,
                    lists(sometimes(faulty, meter)),
                )
            },
            faulty,
        ),
        "pairs": lambda: st.tuples(words, lists(sometimes(faulty, array(numbers, numbers)))).map(
            lambda parts: joined(list(parts), "[]", "")
        ),
        "registers": lambda: objects(
            {"meters": keyed(names, objects({"t": times, "1-0:1.8.0": numbers}, faulty))},
            faulty,
        ),
    }
    return shapes[name]().map(lambda text: text.encode("utf-8", "surrogatepass"))
