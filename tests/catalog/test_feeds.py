"""Versions of feed texts."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.errors import ConflictError, FeedDamagedError, NotFoundError


@pytest.fixture
def feeds(catalog: SqliteCatalog) -> CatalogFeeds:
    return CatalogFeeds(catalog, now_ns=lambda: 7)


def test_text_is_kept_word_for_word(feeds: CatalogFeeds) -> None:
    text = 'name = "büro"\r\n# a comment\n'
    made = feeds.apply("acme", "buero", text)
    assert (made.name, made.version, made.text, made.created_ns) == ("buero", 1, text, 7)
    assert made.sha256 == sha256(text.encode()).hexdigest()
    assert feeds.current("acme", "buero") == feeds.version("acme", "buero", 1) == made


def test_change_makes_the_next_version_and_the_earlier_stays(feeds: CatalogFeeds) -> None:
    versions = [feeds.apply("acme", "f", f"v{n}") for n in range(12)]
    assert [each.version for each in versions] == list(range(1, 13))
    assert feeds.current("acme", "f") == versions[-1]
    assert feeds.version("acme", "f", 2) == versions[1]
    assert feeds.version("acme", "f", 13) is feeds.version("acme", "f", 0) is None


def test_same_text_again_makes_no_version_but_an_earlier_text_does(feeds: CatalogFeeds) -> None:
    first = feeds.apply("acme", "f", "a")
    assert feeds.apply("acme", "f", "a") == first
    feeds.apply("acme", "f", "b")
    assert feeds.apply("acme", "f", "a").version == 3


def test_list_has_the_newest_of_each_feed_of_one_tenant(feeds: CatalogFeeds) -> None:
    feeds.apply("acme", "b", "1")
    feeds.apply("acme", "a-x", "1")
    feeds.apply("acme", "a", "1")
    feeds.apply("acme", "a", "2")
    feeds.apply("acme2", "c", "1")
    assert [(each.name, each.version) for each in feeds.list("acme")] == [("a", 2), ("a-x", 1), ("b", 1)]
    assert feeds.current("acme", "c") is None


def test_a_removed_feed_keeps_its_versions_and_comes_back_with_the_next(
    catalog: SqliteCatalog, feeds: CatalogFeeds
) -> None:
    for text in ("1", "2"):
        feeds.apply("acme", "a/x", text)
    feeds.apply("acme", "b", "1")
    changed = threading.Event()
    end = feeds.watch(changed.set)
    assert feeds.remove("acme", "a/x", "keep").version == 2
    assert changed.wait(60)
    end()
    other = CatalogFeeds(catalog)  # as after a restart
    assert [text.name for text in other.list("acme")] == ["b"]
    assert other.removed_everywhere() == [("acme", "a/x")]
    removed = other.current("acme", "a/x")
    assert removed is not None and removed.removal is not None
    assert (removed.version, removed.removal.removed_ns, removed.removal.data) == (2, 7, "keep")
    assert len(other.versions("acme", "a/x")) == 2
    other.install("acme", {"a/x": "recipe", "c": "recipe"})
    assert [text.name for text in other.list("acme")] == ["b", "c"]
    assert feeds.remove("acme", "a/x", "delete").removed_ns == 7
    again = other.apply("acme", "a/x", "2")
    assert (again.version, other.removed("acme")) == (3, {})
    for reader in (feeds, other):
        current = reader.current("acme", "a/x")
        assert current is not None and (current.version, current.removal) == (3, None)
    with pytest.raises(NotFoundError):
        feeds.remove("acme", "never", "keep")


def test_a_feed_applied_before_its_data_is_noted_as_deleted_is_in_force(feeds: CatalogFeeds) -> None:
    """The deletion of the data takes a while, in which the feed may be applied, and removed once more."""
    feeds.apply("acme", "a", "1")
    removal = feeds.remove("acme", "a", "keep")
    feeds.apply("acme", "a", "2")
    assert feeds.note_deleted("acme", "a", removal).data == "delete"
    current = feeds.current("acme", "a")
    assert current is not None and (current.version, current.removal) == (2, None)
    later = feeds.remove("acme", "a", "keep")
    assert (later.version, feeds.note_deleted("acme", "a", removal).version) == (2, 1)
    assert feeds.removed("acme") == {"a": later}
    feeds.note_deleted("acme", "a", later)
    assert feeds.removed("acme")["a"].data == "delete"


def test_name_with_a_slash_reaches_no_other_feed(feeds: CatalogFeeds) -> None:
    feeds.apply("acme", "a", "1")
    for name in ("a/0000000001", "../acme/a", "", "a/"):
        assert feeds.current("acme", name) is None


def test_recipes_are_installed_once_and_never_over_what_a_tenant_changed(feeds: CatalogFeeds) -> None:
    feeds.apply("acme", "a", "mine")
    for _ in range(2):
        feeds.install("acme", {"a": "recipe a", "b": "recipe b"})
    assert [(each.name, each.version, each.text) for each in feeds.list("acme")] == [
        ("a", 1, "mine"),
        ("b", 1, "recipe b"),
    ]


def test_two_who_apply_at_once_get_two_versions(feeds: CatalogFeeds) -> None:
    start = threading.Barrier(4)

    def apply(n: int) -> int:
        start.wait()
        return feeds.apply("acme", "f", f"text {n}").version

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(apply, range(4))) == [1, 2, 3, 4]


def test_change_is_told(feeds: CatalogFeeds) -> None:
    changed = threading.Event()
    feeds.watch(changed.set)
    feeds.apply("acme", "f", "1")
    assert changed.wait(1.0)


def test_versions_are_listed_oldest_first_and_of_one_feed_only(feeds: CatalogFeeds) -> None:
    made = [feeds.apply("acme", "f", f"v{n}") for n in range(11)]
    feeds.apply("acme", "f-2", "other")
    assert feeds.versions("acme", "f") == made
    assert feeds.versions("acme", "g") == feeds.versions("other", "f") == []


def test_version_that_exists_is_not_made_again(feeds: CatalogFeeds) -> None:
    first = feeds.add("acme", "f", 1, "a")
    with pytest.raises(ConflictError):
        feeds.add("acme", "f", 1, "b")
    assert feeds.current("acme", "f") == first


def test_newest_version_is_found_whoever_made_it_and_after_all_were_removed(
    catalog: SqliteCatalog, feeds: CatalogFeeds
) -> None:
    other = CatalogFeeds(catalog)
    for n in range(1, 4):
        assert feeds.apply("acme", "f", f"v{2 * n - 1}").version == 2 * n - 1
        assert other.apply("acme", "f", f"v{2 * n}").version == 2 * n
        newest = feeds.current("acme", "f")
        assert newest is not None and newest.text == f"v{2 * n}"
    for entry in catalog.list("feeds/acme/f/"):
        catalog.delete(entry.key)
    assert feeds.current("acme", "f") is None
    other.apply("acme", "f", "again")
    assert feeds.current("acme", "f") == other.current("acme", "f") is not None


def damage(catalog: SqliteCatalog, change: Callable[[bytes], bytes], number: int = 1) -> None:
    key = f"feeds/acme/f/{number:010d}"
    entry = catalog.get(key)
    assert entry is not None
    catalog.put(key, change(entry.value))


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.replace(b"max = 10", b"max = 90"),
        lambda value: value.replace(b'"version":1', b'"version":3'),
        lambda value: value.replace(b'"name":"f"', b'"name":"g"'),
        lambda value: value[:-9],
        lambda value: b"",
        lambda value: b"\xff" + value,
    ],
)
def test_a_text_that_is_not_what_was_written_is_never_handed_out(
    change: Callable[[bytes], bytes], catalog: SqliteCatalog, feeds: CatalogFeeds
) -> None:
    feeds.apply("acme", "f", 'name = "f"\nmax = 10\n')
    feeds.apply("acme", "g", "whole")
    damage(catalog, change)
    for reader in (feeds, CatalogFeeds(catalog)):
        for ask in (
            lambda reader=reader: reader.current("acme", "f"),
            lambda reader=reader: reader.version("acme", "f", 1),
            lambda reader=reader: reader.versions("acme", "f"),
            lambda reader=reader: reader.apply("acme", "f", "next"),
        ):
            with pytest.raises(FeedDamagedError, match=r"version 1 of feed 'f' of tenant 'acme' is damaged"):
                ask()
        assert [text.name for text in reader.list("acme")] == ["g"], "the others are as they were"
        assert reader.names("acme") == ["f", "g"]


@given(st.integers(0, 10_000), st.integers(0, 7))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_flipped_bit_of_a_version_is_found_or_changes_nothing_of_its_text(
    catalog: SqliteCatalog, place: int, bit: int
) -> None:
    feeds = CatalogFeeds(catalog)
    text = 'name = "f"\n[[rules]]\ncheck = "range"\noptions = { field = "v", max = 10 }\n'
    catalog.delete("feeds/acme/f/0000000001")
    made = feeds.add("acme", "f", 1, text)

    def flip(value: bytes) -> bytes:
        at = place % len(value)
        return value[:at] + bytes([value[at] ^ 1 << bit]) + value[at + 1 :]

    damage(catalog, flip)
    try:
        found = feeds.version("acme", "f", 1)
    except FeedDamagedError:
        return
    assert found is not None
    assert (found.name, found.version, found.text, found.sha256) == ("f", 1, text, made.sha256)


def test_a_recipe_as_it_was_shipped_before_becomes_the_present_one_and_a_changed_one_stays(
    feeds: CatalogFeeds,
) -> None:
    former = {sha256(b"old").hexdigest()}
    feeds.apply("acme", "kept", "mine")
    feeds.apply("acme", "shipped", "old")
    for _ in range(2):
        feeds.install("acme", {"kept": "new", "shipped": "new", "fresh": "new"}, former)
    assert [(text.name, text.version, text.text) for text in feeds.list("acme")] == [
        ("fresh", 1, "new"),
        ("kept", 1, "mine"),
        ("shipped", 2, "new"),
    ]
