"""What `decide` makes of batches: in whatever order and batches payloads are applied, and however often, the tables
are those that the contract says. Without an engine, so that there can be many examples; the model that stands for the
store is held against the real one, and the same properties are tried on it with a few (`test_order.py`,
`test_history.py`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mill import plain
from tests.mill.folded import Folded
from tests.mill.properties import Make, any_order_and_batches, repetitions_do_not_matter
from tests.rules.test_history import RULES, Record, streams
from tests.support.rounds import rounds
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.feeds.book import FeedBook

POLICIES = st.sampled_from(["first", "last", "keep"])
PAYLOADS = st.lists(plain.RECORDS, min_size=2, max_size=7)
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


@settings(max_examples=rounds(60, 500), **MANY)
@given(data=st.data(), policy=POLICIES, payloads=PAYLOADS)
def test_order_of_arrival_and_batches_do_not_matter(
    fold: Make, data: st.DataObject, policy: str, payloads: list[list[plain.Record]]
) -> None:
    any_order_and_batches(fold, data, policy, payloads)


@settings(max_examples=rounds(40, 500), **MANY)
@given(data=st.data(), policy=POLICIES, rules=st.lists(RULES, min_size=1, max_size=4), payloads=streams())
def test_rules_with_a_past_say_the_same_in_any_batches_and_again(
    fold: Make, data: st.DataObject, policy: str, rules: list[dict[str, Any]], payloads: list[list[Record]]
) -> None:
    repetitions_do_not_matter(fold, data, policy, rules, payloads)
