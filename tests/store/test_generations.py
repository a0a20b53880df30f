"""Generations: what was read is valid until a write begins, whoever writes, and never after that."""

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.store.generations import (
    POINTS,
    SERIES,
    GenerationCounter,
    Generations,
    bucket_header,
    read_buckets,
    shared_memory,
)
from tidemill.store.queries import FOLDER, packaged_queries

INSERT, DELETE = b"INSERT INTO `points` (`tenant`) SELECT 1", b"DELETE FROM points WHERE 1"


@pytest.fixture
def memory() -> Iterator[int]:
    fd = shared_memory()
    yield fd
    os.close(fd)


def counting(memory: int) -> GenerationCounter:
    """The counter of a store that started with no mutation under way."""
    counter = GenerationCounter(memory)
    counter.settle()
    return counter


def of(generations: Generations, *series: int, area: int = POINTS) -> Any:
    generation = generations.of_series(area, series)
    assert generation is not None
    return generation


def test_without_a_store_that_counts_nothing_is_valid(memory: int) -> None:
    for generations in (Generations(), Generations(memory)):
        assert generations.of_series(POINTS, [1]) is None
        assert generations.of_all(SERIES) is None
        assert not generations.hold(None)


def test_a_write_of_one_series_leaves_the_others_valid(memory: int) -> None:
    counter, generations = counting(memory), Generations(memory)
    one, two, both = of(generations, 1), of(generations, 2), of(generations, 1, 2)
    described, every = of(generations, 1, area=SERIES), generations.of_all(POINTS)
    with counter.writing(INSERT, read_buckets(bucket_header([1]) or "")):
        assert [generations.hold(each) for each in (one, two, both, described, every)] == [0, 1, 0, 1, 0]
        assert generations.of_series(POINTS, [1]) is None, "a write is under way: what is read now may have half of it"
        assert generations.of_series(POINTS, [2]) == two
    assert not generations.hold(one), "also when it is over"
    assert generations.hold(of(generations, 1))


@pytest.mark.parametrize(
    "statement",
    [
        DELETE,
        b"delete from tidemill.`points` where 1",
        b"ALTER TABLE points DELETE WHERE 1",
        b"INSERT INTO rollups SELECT 1",
        b"/* a */ INSERT INTO points SELECT 1",
        b"TRUNCATE TABLE points",
        b"ALTER TABLE other MOVE PARTITION 1 TO TABLE points",
        b"INSERT INTO FUNCTION merge('points') SELECT 1",
        b"INSERT INTO TABLE FUNCTION merge('points') SELECT 1",
        b"INSERT INTO TABLE points SELECT 1",
        b"INSERT INTO points(tenant) SELECT 1",
        b"SYSTEM RELOAD CONFIG",
        b"ALTER TABLE {table:Identifier} DETACH PART 'a'",
    ],
)
def test_a_statement_that_does_not_say_which_series_counts_for_all(memory: int, statement: bytes) -> None:
    counter, generations = counting(memory), Generations(memory)
    taken = of(generations, 1)
    with counter.writing(statement, None):
        assert not generations.hold(taken)


def test_writes_of_other_tables_change_no_answer_about_points(memory: int) -> None:
    counter, generations = counting(memory), Generations(memory)
    taken, described = of(generations, 1), generations.of_all(SERIES)
    for table in (b"payloads", b"rejections", b"changes", b"points_of_another_kind"):
        with counter.writing(b"INSERT INTO `%b` (`tenant`) VALUES" % table, None):
            assert generations.hold(taken)
    with counter.writing(b"INSERT INTO series SELECT 1", None):
        assert (generations.hold(taken), generations.hold(described)) == (True, False)


def test_a_store_that_starts_again_makes_everything_invalid(memory: int) -> None:
    counter, generations = counting(memory), Generations(memory)
    taken = of(generations, 1)
    counter.writing(DELETE, None).__enter__()  # the process is killed in the middle of a write
    assert generations.of_series(POINTS, [2]) is None
    counting(memory)
    assert not generations.hold(taken)
    again = Generations(memory)
    assert again.hold(of(again, 2))


def test_a_deletion_that_failed_counts_until_no_mutation_goes_on(memory: int) -> None:
    settled = True
    counter, generations = GenerationCounter(memory, lambda: settled), Generations(memory)
    counter.settle()
    settled = False
    assert generations.of_series(POINTS, [1]) is not None
    with pytest.raises(TimeoutError), counter.writing(DELETE, None):
        raise TimeoutError
    counter.settle()
    assert generations.of_series(POINTS, [1]) is None
    with pytest.raises(TimeoutError), counter.writing(INSERT, None):
        raise TimeoutError
    settled = True
    counter.settle()
    assert generations.of_series(POINTS, [1]) is not None


def test_what_an_earlier_process_left_counts_until_no_mutation_goes_on(memory: int) -> None:
    settled = False
    counting(memory).writing(DELETE, None).__enter__()  # and killed; the engine goes on with it after its next start
    counter, generations = GenerationCounter(memory, lambda: settled), Generations(memory)
    for _ in range(2):
        assert [generations.of_series(area, [1]) for area in (POINTS, SERIES)] == [None, None]
        assert [generations.of_all(area) for area in (POINTS, SERIES)] == [None, None]
        counter.settle()
    settled = True
    counter.settle()
    taken = [of(generations, 1), of(generations, 1, area=SERIES), *map(generations.of_all, (POINTS, SERIES))]
    counter.settle()
    assert all(map(generations.hold, taken))


@given(st.sets(st.integers(0, 2**64 - 1), min_size=1, max_size=1_024))
def test_the_header_of_an_insert_names_the_buckets_of_its_series(series: set[int]) -> None:
    buckets = read_buckets(bucket_header(series) or "")
    assert buckets is not None and set(buckets) == {number % (1 << 18) for number in series}


@pytest.mark.parametrize("header", ["", "?", "AA", "//8=", "YQ"])
def test_an_invalid_header_counts_for_all_series(header: str) -> None:
    assert read_buckets(header) is None


def test_too_many_series_are_not_named() -> None:
    assert bucket_header(range(1_025)) is None


_AT_ONCE = re.compile(r"ADD |MODIFY SETTING|MODIFY COLUMN value CODEC|DETACH PART|DROP PARTITION|FREEZE")
_SAME_ANSWERS = re.compile(r"APPLY DELETED MASK|MATERIALIZE INDEX")
_ALTERS = re.compile(r"(?m)^\s*ALTER TABLE (?:\{[^}]*\}|\S+)\s+(?:/\*.*?\*/\s*)?([^;]*)")
_BEHIND = re.compile(r"(?:mutations|lightweight_deletes)_sync\s*=\s*0")


def test_no_statement_that_ends_before_its_mutation_changes_an_answer() -> None:
    """A statement counts as ended when it has succeeded."""
    texts = [query.sql for query in packaged_queries().values()]
    texts += [path.read_text() for path in (FOLDER.parent / "schema").glob("*.sql")]
    alters = [action for text in texts for action in _ALTERS.findall(text)]
    assert len(alters) == sum(len(re.findall("ALTER TABLE", text)) for text in texts) > 20
    for action in alters:
        if not _SAME_ANSWERS.match(action):
            assert _AT_ONCE.match(action) or re.search(r"mutations_sync = [12]", action), action
    assert [len(_BEHIND.findall(text)) for text in texts] == [
        len(re.findall(rf"({_SAME_ANSWERS.pattern}).*{_BEHIND.pattern}", text)) for text in texts
    ]
