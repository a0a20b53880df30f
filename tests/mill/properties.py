"""Properties of the mill that hold over any store: the real engine (`house.House`), or the model of it that writes are
folded into (`folded.Folded`). The code is the same; only how many examples there can be is not."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tests.mill import plain
from tests.mill.folded import Folded
from tests.mill.house import House
from tests.rules import test_history as rules_history
from tidemill.model.payload import Logged

Make = Callable[[], House | Folded]


def cut(data: st.DataObject, entries: Sequence[Logged]) -> list[Sequence[Logged]]:
    """Entries in batches, each with at least one."""
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(entries))), max_size=3), label="cuts"))
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
    store.apply(cut(data, [entries[place] for place in again]))
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
    from tests.mill.test_history import expected, install, ledger

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
    found = expected(policy, chosen, payloads)
    assert ledger(store) == found
    for row in store.all("payloads"):
        seq, records = row["seq"], payloads[row["seq"] - 1]
        assert row["rejected"] == sum((seq, idx) in found for idx in range(len(records)))
        assert row["accepted"] + row["rejected"] == len(records)
