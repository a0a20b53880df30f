"""Properties of the mill that hold over any store: the real engine (`house.House`), or the model of it that writes are
folded into (`folded.Folded`). The code is the same; only how many examples there can be is not."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tests.mill import plain
from tests.mill.folded import Folded
from tests.mill.house import House
from tests.rules import test_history as rules_history
from tidemill.checks.library import checks_by_name

POLICIES = st.sampled_from(["first", "last", "keep"])
Make = Callable[[], House | Folded]


def cut(data: st.DataObject, entries: Sequence[Any]) -> list[Sequence[Any]]:
    """Entries (or their places) in batches, each with at least one."""
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(entries))), max_size=2), label="cuts"))
    parts = [entries[start:stop] for start, stop in pairwise([0, *cuts, len(entries)])]
    return [part for part in parts if part]


def installed(store: House | Folded, name: str, text: str) -> int:
    """The version of a feed that has this text; a new one if none has."""
    newest = store.texts.current(store.tenant, name)
    for number in range(newest.version if newest else 0, 0, -1):
        known = store.texts.version(store.tenant, name, number)
        if known is not None and known.text == text:
            return number
    return store.texts.apply(store.tenant, name, text).version


def text(policy: str, rules: list[dict[str, Any]]) -> str:
    return rules_history.FEED.format(policy=policy) + "".join(
        f'[[rules]]\ncheck = "{rule["check"]}"\naction = "{rule["action"]}"\noptions = {{ '
        + ", ".join(f"{name} = {json.dumps(value)}" for name, value in rule["options"].items())
        + " }\n"
        for rule in rules
    )


def install(house: House | Folded, policy: str, rules: list[dict[str, Any]]) -> int:
    """The version of the feed of plants that has these rules; a new one if none has."""
    return installed(house, "plant", text(policy, rules))


def expected_ledger(
    policy: str, rules: list[dict[str, Any]], payloads: list[list[rules_history.Record]]
) -> dict[tuple[int, int], list[str]]:
    """The ledger: the reasons of each rejected record, duplicates of the first among them."""
    codes = {rule["check"]: checks_by_name()[rule["check"]].reason for rule in rules}
    flags = {rule["check"] for rule in rules if rule["action"] == "flag"}
    taken, found = set(), {}
    records = rules_history.numbered(payloads)
    broken = rules_history.plain(policy, rules, records)
    for place, record in records:
        reasons = [codes[check] for check in broken[place] if check not in flags]
        if not reasons and policy == "first" and (record["s"], record["t"]) in taken:
            reasons = ["duplicate"]
        elif not reasons:
            taken.add((record["s"], record["t"]))
        if reasons:
            found[place] = reasons
    return found


def ledger(house: House | Folded) -> dict[tuple[int, int], list[str]]:
    return {(row["seq"], row["idx"]): row["reasons"] for row in house.all("rejections")}


def any_order_and_batches(
    make: Make, data: st.DataObject, policy: str, payloads: Sequence[Sequence[plain.Record]]
) -> None:
    """In any order and any batches, some payloads twice, the tables are those that a plain reading gives."""
    store = make()
    version = installed(store, "location", plain.location(policy))
    for body in payloads:
        store.send("location", body, feed_version=version)
    entries, places = store.entries(), range(len(payloads))
    order = data.draw(st.permutations(places), label="order")
    again = data.draw(st.lists(st.sampled_from(places), max_size=2, unique=True), label="again")
    store.apply(cut(data, [entries[place] for place in order]))
    store.apply([[entries[place] for place in again]] if again else [])
    expected = plain.expected(policy, dict(enumerate(payloads, 1)))
    assert plain.tables(store.everything()) == expected


def repetitions_do_not_matter(
    make: Make,
    data: st.DataObject,
    policy: str,
    rules: list[dict[str, Any]],
    payloads: list[list[rules_history.Record]],
) -> None:
    """Rules that need the past, in any batches; again from any place, in other batches, by a mill that starts anew."""
    flags = data.draw(st.lists(st.booleans(), min_size=4, max_size=4), label="flags")
    chosen = rules_history.with_actions(rules, flags)
    store = make()
    version = install(store, policy, chosen)
    for records in payloads:
        store.send("plant", records, feed_version=version)
    entries, at = store.entries(), 0
    for _ in range(data.draw(st.integers(0, 2), label="repetitions")):
        stop = data.draw(st.integers(at, len(entries)), label="stop")
        store.apply(cut(data, entries[at:stop]))
        at = data.draw(st.integers(0, stop), label="again from")
        store.new_mill()
    store.apply(cut(data, entries[at:]))
    found = expected_ledger(policy, chosen, payloads)
    assert ledger(store) == found
    for row in store.all("payloads"):
        seq, records = row["seq"], payloads[row["seq"] - 1]
        assert row["rejected"] == sum((seq, idx) in found for idx in range(len(records)))
        assert row["accepted"] + row["rejected"] == len(records)
