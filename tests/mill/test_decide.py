"""What `decide` makes of batches: in whatever order and batches payloads are applied, and however often, the tables
are those that the contract says. Without an engine, so that there can be many examples; the model that stands for the
store is held against the real one, and the same properties are tried on it with a few (`test_order.py`,
`test_history.py`)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mill import plain
from tests.mill.folded import Folded, Killed
from tests.mill.house import EVIDENCE, House
from tests.mill.properties import POLICIES, Make, any_order_and_batches, cut, installed, repetitions_do_not_matter
from tests.mill.test_order import strip
from tests.rules.test_history import RULES, Record, streams
from tests.support.rounds import rounds
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.feeds.book import FeedBook

PAYLOADS = st.lists(plain.RECORDS, min_size=2, max_size=6)
MANY: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
}


@pytest.fixture
def fold(tmp_path: Path) -> Iterator[Make]:
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    texts = CatalogFeeds(catalog)
    book = FeedBook(texts, {})
    yield lambda: Folded(texts, book)
    catalog.close()


@settings(max_examples=rounds(25, 500), **MANY)
@given(data=st.data(), policy=POLICIES, payloads=PAYLOADS)
def test_order_of_arrival_and_batches_do_not_matter(
    fold: Make, data: st.DataObject, policy: str, payloads: list[list[plain.Record]]
) -> None:
    any_order_and_batches(fold, data, policy, payloads)


@settings(max_examples=rounds(25, 500), **MANY)
@given(data=st.data(), policy=POLICIES, rules=st.lists(RULES, min_size=1, max_size=4), payloads=streams())
def test_rules_with_a_past_say_the_same_in_any_batches_and_again(
    fold: Make, data: st.DataObject, policy: str, rules: list[dict[str, Any]], payloads: list[list[Record]]
) -> None:
    repetitions_do_not_matter(fold, data, policy, rules, payloads)


@settings(max_examples=rounds(15, 300), **MANY)
@given(data=st.data(), policy=POLICIES, payloads=PAYLOADS, left=st.integers(0, 14))
def test_a_batch_that_was_cut_short_at_any_write_and_is_applied_again_ends_as_one_that_was_not(
    fold: Make, data: st.DataObject, policy: str, payloads: list[list[plain.Record]], left: int
) -> None:
    """Changes too: each announces what the one before it left, and the last what is there."""
    store, calm = fold(), fold()
    assert isinstance(store, Folded) and isinstance(calm, Folded)
    for one in (store, calm):
        version = installed(one, "location", plain.location(policy))
        for body in payloads:
            one.send("location", body, feed_version=version)
    batches = cut(data, range(len(payloads)))
    calm.apply([[calm.entries()[place] for place in batch] for batch in batches])
    store.writes_left = left
    for batch in batches:
        entries = [store.entries()[place] for place in batch]
        try:
            store.apply([entries])
        except Killed:
            store.writes_left = None
            store.apply([entries])
    assert plain.tables(store.everything()) == plain.tables(calm.everything())
    assert changes(store) == changes(calm)


def changes(store: Folded) -> list[dict[str, Any]]:
    return sorted(store.all("changes"), key=lambda row: (row["seq"], row["idx"], row["series"], row["every_s"]))


@settings(max_examples=rounds(15, 300), **MANY)
@given(data=st.data(), policy=st.sampled_from(["first", "last"]), before=PAYLOADS, after=PAYLOADS)
def test_what_was_deleted_does_not_return_and_is_in_nobodys_way(
    fold: Make, data: st.DataObject, policy: str, before: list[list[plain.Record]], after: list[list[plain.Record]]
) -> None:
    """All series are deleted between the first payloads and the others; some of the first are applied again."""
    store = fold()
    assert isinstance(store, Folded)
    version = installed(store, "location", plain.location(policy))
    for body in before:
        store.send("location", body, feed_version=version)
    first = store.entries()
    store.apply(cut(data, first))
    outcomes = plain.tables(store.everything())
    store.delete_series([row["series"] for row in store.all("series")])
    for body in after:
        store.send("location", body, feed_version=version)
    again = data.draw(st.lists(st.sampled_from(range(len(first))), max_size=3, unique=True), label="again")
    later = [*(first[place] for place in again), *store.entries()[len(first) :]]
    order = data.draw(st.permutations(range(len(later))), label="order")
    store.apply(cut(data, [later[place] for place in order]))
    expected = plain.expected(policy, {seq + len(first): body for seq, body in enumerate(after, 1)})
    found = plain.tables(store.everything())
    alive = {place: row for place, row in found["points"].items() if row[0] > len(first)}
    assert alive == expected["points"]
    assert found["rollups"] == expected["rollups"]
    assert found["payloads"] == outcomes["payloads"] | expected["payloads"]
    assert found["rejections"] == outcomes["rejections"] | expected["rejections"]


@settings(max_examples=rounds(2, 30), **MANY)
@given(data=st.data(), payloads=st.lists(plain.RECORDS, min_size=3, max_size=6))
@pytest.mark.parametrize("policy", ["first", "last"])
def test_the_model_holds_what_the_engine_holds(
    fold: Make, build: Callable[..., House], policy: str, data: st.DataObject, payloads: list[list[plain.Record]]
) -> None:
    """The same batches to both: the same rows in every table that a batch is written to, changes too."""
    model, house = fold(), build()
    order = data.draw(st.permutations(range(len(payloads))), label="order")
    batches = [*cut(data, order), order[:2]]
    for store in (model, house):
        version = installed(store, "location", plain.location(policy))
        for body in payloads:
            store.send("location", body, feed_version=version)
        entries = store.entries()
        store.apply([[entries[place] for place in batch] for batch in batches])
    assert rows(model) == rows(house)


def rows(store: Folded | House) -> dict[str, list[str]]:
    """What a store holds, without what differs from one house to the other."""
    everything = store.everything() | {name: store.all(name) for name in EVIDENCE}
    plainly = strip(everything)
    blank = {"feed_version": 0, "rules_version": 0}
    return {table: sorted(str(row | {k: 0 for k in blank if k in row}) for row in of) for table, of in plainly.items()}


@settings(max_examples=rounds(15, 300), **MANY)
@given(payloads=PAYLOADS, policies=st.lists(POLICIES, min_size=6, max_size=6))
def test_versions_with_different_policies_see_each_others_points_in_one_batch(
    fold: Make, payloads: list[list[plain.Record]], policies: list[str]
) -> None:
    """One batch of payloads of versions that follow each other ends as a batch for each of them."""
    together, apart = fold(), fold()
    for store in (together, apart):
        for number, (body, policy) in enumerate(zip(payloads, policies, strict=False)):
            version = store.texts.apply(store.tenant, "location", plain.location(policy, f"# {number}\n")).version
            store.send("location", body, feed_version=version)
    together.apply([together.entries()])
    apart.apply([[entry] for entry in apart.entries()])
    assert rows_without_changes(together) == rows_without_changes(apart)


def rows_without_changes(store: Folded | House) -> dict[str, list[str]]:
    """What a store holds, without what was published in between."""
    assert isinstance(store, Folded)
    return {table: held for table, held in rows(store).items() if table not in EVIDENCE}
