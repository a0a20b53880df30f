"""Kept answers: whatever is written in between, and by whomever, they are what the store would answer now."""

import random
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zoneinfo import available_timezones

import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, document, queries, whole
from tests.query.test_feeds import TELEMETRY
from tests.query.test_many_points import NOW
from tidemill.errors import NotFoundError
from tidemill.query.answers import Page
from tidemill.query.feeds import FeedPointsQuery
from tidemill.query.kept import Kept
from tidemill.query.kept_pages import HEAD_BYTES, KeptPages
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.points_query import PointsQuery
from tidemill.query.queries import Queries
from tidemill.store.client import Store
from tidemill.store.generations import POINTS, GenerationCounter, Generations, shared_memory
from tidemill.store.queries import packaged_queries, query

SPAN = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:02:00Z"}
FIELDS = ("value", "b", "c")
KINDS = ("raw", "open", "newest", "good", "windows", "whole", "one of many", "last of all", "csv", "feed", "subject")
_ONE_MORE = "* REPLACE (value + 1 AS value, version + 1 AS version)"
PURGES = {
    "purge": query("purge", "DELETE FROM points WHERE series = {series:UInt64} AND time < {until:DateTime}"),
    "erase": query("erase", "ALTER TABLE points APPLY DELETED MASK SETTINGS mutations_sync = 2"),
    "copy": query("copy", f"INSERT INTO points SELECT {_ONE_MORE} FROM points"),
}


def statements(store: Store) -> Store:
    """Another client of the same store, as the mill has one: for statements that are no inserts of frames."""
    return Store(store.address, queries={**packaged_queries(), **PURGES})


def _answers(asking: Queries, key: str, kinds: Sequence[str]) -> dict[str, Any]:
    """What these kinds of reads of a series say, without how long that took."""

    def points(**given: str) -> bytes:
        return whole(asking.points.read_points("default", key, asked(PointsQuery, **given)))

    def many(**given: str) -> bytes:
        return whole(asking.many_points.read_many("default", asked(ManyPointsQuery, **given), NOW))

    reads: dict[str, Callable[[], Any]] = {
        "raw": lambda: points(**SPAN),
        "open": points,
        "newest": lambda: points(order="desc", limit="1"),
        "good": lambda: points(quality="good", **SPAN),
        "windows": lambda: points(every="10s", agg="mean,count,last", **SPAN),
        "whole": lambda: points(agg="sum,count"),
        "one of many": lambda: many(series=key, **SPAN),
        "last of all": lambda: many(feed="telemetry", agg="last"),
        "csv": lambda: many(feed="telemetry", every="1m", format="csv", limit="100", **SPAN),
        "feed": lambda: whole(asking.feeds.points("default", TELEMETRY, asked(FeedPointsQuery, field="value", **SPAN))),
        "subject": lambda: _subject(asking, key),
    }
    assert set(reads) == set(KINDS)
    return {name: _outcome(reads[name]) for name in kinds}


def _subject(asking: Queries, key: str) -> Any:
    """What an analysis knows of a series, without the rows and their hash: merges change those, with no statement."""
    subject = asking.analysis.subject("default", key, None, None)
    return (*subject.key[2:5], subject.last_ns)


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        answer = work()
    except NotFoundError as error:
        return type(error), error.message
    return re.sub(rb'"took_ms":[0-9.]+', b"", answer) if isinstance(answer, bytes) else answer


@pytest.mark.parametrize("seed", range(3))
def test_a_kept_answer_is_what_the_store_answers(store: Store, writer: Writer, seed: int) -> None:
    choose, other = random.Random(seed), statements(store)
    keys = [writer.series("telemetry", field) for field in FIELDS]
    hidden: set[int] = set()
    kept, plain = (queries(each, hidden=lambda _: hidden) for each in (store, Store(store.address)))

    def late(key: str) -> None:
        at = [START + choose.randrange(200) * SECOND for _ in range(choose.randrange(1, 4))]
        marks = ["stuck"] if choose.random() < 0.2 else []
        writer.points(key, at, [choose.choice([1.5, None, -2.0])] * len(at), seq=choose.randrange(1, 90), marks=marks)

    def described(key: str) -> None:
        field = FIELDS[keys.index(key)]
        facts = {"unit": choose.choice("KW"), "deleted_seq": choose.choice([0, 0, 30])}
        facts["deleted"] = choose.random() < 0.2
        writer.series("telemetry", field, version=choose.randrange(2, 99), **facts)

    changes: list[Callable[[str], None]] = [
        late,
        late,
        described,
        lambda key: hidden.symmetric_difference_update({int(key, 16)}),
        lambda key: other.command("purge", series=int(key, 16), until=START // SECOND + choose.randrange(200)),
        lambda key: other.command("copy"),
        lambda key: other.command("erase"),
    ]
    for _ in range(10):
        choose.choice(changes)(choose.choice(keys))
        question = choose.choice(keys), choose.sample(KINDS, 4)
        right = _answers(plain, *question)
        assert _answers(kept, *question) == right
        assert _answers(kept, *question) == right, "and once more, when all of it is kept"


def test_an_answer_is_never_older_than_a_finished_write(store: Store, writer: Writer) -> None:
    """Readers ask all the time, so that answers are made while writes are under way."""
    asking, key, over = queries(store), writer.series("telemetry", "a"), threading.Event()
    seen: list[list[float]] = [[], []]

    def value() -> float:
        page = asking.points.read_points("default", key, asked(PointsQuery))
        return float(document(page)["items"][0]["value"])

    def keep_asking(values: list[float]) -> None:
        while not over.is_set():
            values.append(value())

    writer.points(key, [START], [0.0], seq=1)
    readers = [threading.Thread(target=keep_asking, args=(values,)) for values in seen]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 16):
            writer.points(key, [START], [float(number)], seq=number + 1)
            assert value() == number
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert all(values == sorted(values) for values in seen), "and no reader goes back"


class _Counting(Store):
    """A store that counts the questions put to it."""

    questions = 0

    def _open_answer(self, *given: Any) -> Any:
        self.questions += 1
        return super()._open_answer(*given)


def test_a_read_is_one_question_and_a_repeated_one_none(store: Store, writer: Writer) -> None:
    keys = [writer.series("telemetry", field) for field in ("a", "b")]
    for key in keys:
        writer.points(key, [START], [1.0], seq=5)
    counting = _Counting(store.address, generations=store.generations)
    asking = queries(counting)

    def questions(work: Callable[[], Any]) -> int:
        before = counting.questions
        work()
        return counting.questions - before

    def raw(key: str) -> Any:
        return asking.points.read_points("default", key, asked(PointsQuery, **SPAN))

    def subject() -> Any:
        return asking.analysis.subject("default", keys[0], None, None)

    assert questions(lambda: raw(min(keys))) == 2, "what the series is, once for all after it"
    assert questions(lambda: raw(max(keys))) == 1
    assert questions(lambda: raw(max(keys))) == 0
    writer.points(min(keys), [START + SECOND], [1.0], seq=6)
    assert [questions(lambda key=key: raw(key)) for key in (max(keys), min(keys))] == [0, 1], "only what was written"
    assert [questions(subject), questions(subject)] == [1, 0]
    assert questions(lambda: asking.analysis.is_unchanged(subject())) == 0


def test_a_client_that_has_a_page_gets_none_without_a_question(store: Store, writer: Writer) -> None:
    key = writer.series("telemetry", "value")
    writer.points(key, [START], [1.0], seq=5)
    counting = _Counting(store.address, generations=store.generations)
    asking, query = queries(counting), asked(FeedPointsQuery, **SPAN)

    def page(*known: str) -> Any:
        return asking.feeds.points("default", TELEMETRY, query, known)

    tag = page().etag
    before = counting.questions
    assert page(tag).unchanged
    assert whole(page("other"))
    assert counting.questions == before
    other = queries(counting)  # another process, which made no page of it yet
    for _ in range(2):
        assert other.feeds.points("default", TELEMETRY, query, (tag,)).unchanged
    assert whole(other.feeds.points("default", TELEMETRY, query)) == whole(page())
    writer.points(key, [START], [2.0], seq=6)
    assert not page(tag).unchanged


def test_points_that_were_sent_twice_are_asked_again(store: Store, writer: Writer) -> None:
    key = writer.series("telemetry", "a")
    for seq, value in ((5, 1.0), (6, 2.0)):
        writer.points(key, [START, START + SECOND], [value, value], seq=seq)
    asking = queries(store)
    for given in ({}, {"order": "desc", "limit": "1"}):
        items = document(asking.points.read_points("default", key, asked(PointsQuery, **given)))["items"]
        assert {item["value"] for item in items} == {2.0}


def test_what_is_kept_is_bounded() -> None:
    fd = shared_memory()
    GenerationCounter(fd).settle()
    generations = Generations(fd)
    kept: Kept[int] = Kept(generations, 10_000, 2_000)
    generation = generations.of_series(POINTS, [1])
    for number in range(100):
        kept.put(number, generation, number, 1_000)
    assert 1 <= sum(kept.get(number) is not None for number in range(100)) <= 7
    assert kept.get(99) == 99
    kept.put("large", generation, 1, 2_001)
    kept.put("while a write is under way", None, 1, 1)
    assert kept.get("large") is None
    assert kept.get("while a write is under way") is None


def test_long_keys_count_and_the_longest_are_not_kept_themselves() -> None:
    fd = shared_memory()
    GenerationCounter(fd).settle()
    generations = Generations(fd)
    kept: Kept[int] = Kept(generations, 10_000, 2_000)
    generation = generations.of_series(POINTS, [1])
    keys = [b"%01000d" % number for number in range(100)]
    for key in keys:
        kept.put(key, generation, 1, 0)
    assert 1 <= sum(kept.get(key) is not None for key in keys) <= 7
    longest, other = b"%01000000d" % 1, b"%01000000d" % 2
    references = sys.getrefcount(longest)
    kept.put(longest, generation, 5, 0)
    assert sys.getrefcount(longest) == references
    assert (kept.get(longest), kept.get(other)) == (5, None)


@pytest.mark.parametrize("form", ["csv", "ndjson", "arrow"])
def test_a_page_that_another_follows_now_is_another_page(store: Store, writer: Writer, form: str) -> None:
    """These forms say in the head of the answer alone that there is a next page."""
    key = writer.series("telemetry", "value")
    writer.points(key, [START, START + 60 * SECOND], [1.0, 2.0], seq=5)
    asking = queries(store)
    given = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T01:00:00Z", "every": "1m", "limit": "2"}

    def pages(*known: str) -> list[Any]:
        one = asked(PointsQuery, agg="mean", format=form, **given)
        many = asked(ManyPointsQuery, series=key, format=form, **given)
        return [
            asking.points.read_points("default", key, one, known),
            asking.many_points.read_many("default", many, NOW, known),
        ]

    before = pages()
    tags = [page.etag for page in before]
    assert all(page.unchanged for page in pages(*tags))
    writer.points(key, [START + 120 * SECOND], [3.0], seq=6)
    after = pages(*tags)
    assert [whole(page) for page in after] == [whole(page) for page in before]
    assert [(page.next is None, page.unchanged) for page in (*before, *after)] == [(True, False)] * 2 + [
        (False, False)
    ] * 2


@pytest.mark.parametrize("read", [0, 1, 4])
def test_closing_a_long_page_ends_its_query_however_much_of_it_was_sent(read: int) -> None:
    ended: list[bool] = []

    def pieces() -> Iterator[bytes]:
        try:
            for number in range(6):
                yield bytes([number]) * (1 << 19)
        finally:
            ended.append(True)

    page = KeptPages(Generations()).answer("long", None, lambda: Page(pieces()), (), has_tag=True)
    body: Any = page.body
    assert [next(body)[0] for _ in range(read)] == list(range(read))
    assert not ended
    body.close()
    assert ended and next(body, None) is None


@pytest.mark.parametrize("shape", ["rows", "columns"])
def test_the_time_that_an_answer_took_is_in_its_head_whatever_the_zone(
    store: Store, writer: Writer, shape: str
) -> None:
    key = writer.series("telemetry", "value")
    writer.points(key, [START], [1.0], seq=5)
    zone = max(sorted(available_timezones()), key=len)
    query = asked(ManyPointsQuery, series=key, points="100", tz=zone, shape=shape, **SPAN)
    first, again = (queries(store).many_points.read_many("default", query, NOW) for _ in range(2))
    taken = re.search(rb'"windows":\d+,"points_read":\d+,"took_ms":[\d.]+', whole(first))
    assert taken is not None
    assert taken.end() + 3 * 20 <= HEAD_BYTES, "also with numbers of 20 digits"
    assert first.etag is not None and first.etag == again.etag
