"""Counts the writes to the tables of points and of series, in memory that the store's process shares with its readers.

The store counts a write twice: before its statement begins, and after the statement ended (`GenerationCounter`). So an
answer that was read while no write was under way is still right for as long as no further write began, and that takes a
few microseconds to see (`Generations`), without a question to the store. Every statement that is no read is counted,
whoever sends it: inserts, replays, deletions, retention. An insert says of which series its rows are; a statement that
does not say so counts for all series. A store that starts again has another incarnation, of which nothing earlier is
valid. A store without this memory (a ClickHouse server) has no generations: then nothing may be kept.
"""

import base64
import mmap
import os
import re
import secrets
import tempfile
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

HEADER: Final = "x-tidemill-buckets"
POINTS, SERIES = 0, 1  # the areas: points and their rollup windows; the descriptions of series
_AREA_OF: Final = {"points": POINTS, "rollups": POINTS, "series": SERIES}
_BUCKETS: Final = 1 << 18  # series share them; four times as many were 32 MiB
_MOST_NAMED: Final = 1_024  # buckets of one statement that are counted singly
_WORD: Final = 8
_INCARNATION: Final = 0
# Of an area: how many writes began and ended in all, how many of them for all series; then both for each bucket.
_ANY_BEGUN, _ANY_ENDED, _ALL_BEGUN, _ALL_ENDED, _SINGLE = range(5)
_AREA_WORDS: Final = _SINGLE + 2 * _BUCKETS
_BYTES: Final = _WORD * (1 + 2 * _AREA_WORDS)
# The table that an insert or a deletion writes to, and no other; what does not look like this may write to any.
_WRITTEN: Final = re.compile(
    rb"\s*(?:INSERT\s+INTO(?:\s+TABLE)?|DELETE\s+FROM)\s+(?!(?:FUNCTION|TABLE)\b)(?:`?\w+`?\s*\.\s*)?`?(\w+)`?\s",
    re.IGNORECASE,
)


def shared_memory() -> int:
    """A file descriptor of zeroed memory for the generations, which only processes that inherit it can open."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("tidemill-generations")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.write(fd, bytes(_BYTES))  # every page is there: no later access fails for want of memory
    return fd


def memory_file(path: Path) -> int:
    """A file descriptor of memory for the generations in a file, which is made if it is missing: for processes that do
    not inherit from each other. What it holds of an earlier store is valid until the store starts again."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.fstat(fd).st_size < _BYTES:
        os.ftruncate(fd, 0)
        os.posix_fallocate(fd, 0, _BYTES)
    return fd


def is_counted(table: str) -> bool:
    """Whether the writes to a table are counted."""
    return table in _AREA_OF


def bucket_header(series: Iterable[int]) -> str | None:
    """The value of HEADER for an insert of rows of these series; null where they are too many to be counted singly."""
    buckets = {number % _BUCKETS for number in series}
    return base64.b64encode(array("I", sorted(buckets)).tobytes()).decode() if len(buckets) <= _MOST_NAMED else None


def read_buckets(header: str) -> tuple[int, ...] | None:
    """The buckets of a value of HEADER; null (all of them) for an absent or invalid one."""
    buckets = array("I")
    with suppress(ValueError):
        buckets.frombytes(base64.b64decode(header, validate=True))
    return tuple(buckets) if buckets and max(buckets) < _BUCKETS else None


class Generation(msgspec.Struct, frozen=True):
    """Counts of writes as they were when none was under way: `values` of the words at `places`."""

    places: tuple[int, ...]
    values: tuple[int, ...]

    def joined(self, other: "Generation | None") -> "Generation | None":
        """The generation that holds while both hold; null where there is no other."""
        return None if other is None else Generation(self.places + other.places, self.values + other.values)


class GenerationCounter:
    """Counts the writes of a store, whose only instance it is. Thread-safe. Without `fd` nobody else sees the counts.

    `is_settled` says whether no mutation is under way: a DELETE that failed (it ran out of time) may go on behind, and
    counts as under way until then. So may one that an earlier process of the store did not end: everything counts as
    being written until the first `settle`.
    """

    def __init__(self, fd: int | None = None, is_settled: Callable[[], bool] = lambda: True) -> None:
        memory = mmap.mmap(-1, _BYTES) if fd is None else mmap.mmap(fd, _BYTES)
        self._words = memoryview(memory).cast("Q")
        self._is_settled = is_settled
        self._lock = threading.Lock()
        self._unsettled: list[list[int]] = []
        # First of all, before any statement: nothing that was read of an earlier process is valid.
        self._words[_INCARNATION] = secrets.randbits(63) + 1
        for place in _begun_places():
            self._words[_ended(place)] = self._words[place]
        resumed = [*_counted(POINTS, None), *_counted(SERIES, None)]
        self._add(resumed)
        self._unsettled.append(resumed)

    @contextmanager
    def writing(self, statement: bytes, buckets: tuple[int, ...] | None) -> Iterator[None]:
        """Counts the statement, which is no read, for as long as the `with` takes. `buckets` are those of the series of
        its rows (null: not known)."""
        written = _WRITTEN.match(statement)
        areas = [
            area for area in (POINTS, SERIES) if written is None or _AREA_OF.get(written[1].decode().lower()) == area
        ]
        places = [place for area in areas for place in _counted(area, buckets)]
        self._add(places)
        try:
            yield
        except BaseException:
            if places and statement.lstrip()[:6].upper() != b"INSERT":
                with self._lock:
                    self._unsettled.append(places)
                places = []
            raise
        finally:
            self._add([_ended(place) for place in places])

    def settle(self) -> None:
        """Count statements that failed, or that an earlier process left, as ended, once nothing of them can go on.
        Takes nothing where there are none."""
        with self._lock:
            failed = list(self._unsettled)
        if failed and self._is_settled():
            for places in failed:
                self._add([_ended(place) for place in places])
            with self._lock:
                self._unsettled = [places for places in self._unsettled if not any(places is each for each in failed)]

    def _add(self, places: Iterable[int]) -> None:
        with self._lock:
            for place in places:
                self._words[place] += 1


class Generations:
    """Reads the counts of the store that writes to `fd` (null: there is none). Thread-safe, a few microseconds a call.

    Take a generation, then read: while it holds, the same question has the same answer.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._words = None if fd is None else memoryview(mmap.mmap(fd, _BYTES, prot=mmap.PROT_READ)).cast("Q")

    def of_series(self, area: int, series: Iterable[int]) -> Generation | None:
        """The generation of what the store has of these series; null while a write is under way."""
        base = _base(area)
        buckets = dict.fromkeys(number % _BUCKETS for number in series)
        return self._taken([base + _ALL_BEGUN, *(base + _SINGLE + 2 * bucket for bucket in buckets)])

    def of_all(self, area: int) -> Generation | None:
        """The generation of what the store has of all series; null while a write is under way."""
        return self._taken([_base(area) + _ANY_BEGUN])

    def hold(self, generation: Generation | None) -> bool:
        """Whether no write began since the generation was taken."""
        words = self._words
        if generation is None or words is None:
            return False
        return tuple(map(words.__getitem__, generation.places)) == generation.values

    def _taken(self, begun: list[int]) -> Generation | None:
        words = self._words
        if words is None or not words[_INCARNATION]:
            return None
        # Ends before begins: where they agree, no write was under way when the begins were read.
        incarnation = words[_INCARNATION]
        ended = tuple([words[_ended(place)] for place in begun])
        values = tuple(map(words.__getitem__, begun))
        if values != ended or words[_INCARNATION] != incarnation:
            return None
        return Generation((_INCARNATION, *begun), (incarnation, *values))


def _base(area: int) -> int:
    return 1 + area * _AREA_WORDS


def _ended(begun: int) -> int:
    """The place of the count of ended writes beside that of begun ones."""
    return begun + 1


def _counted(area: int, buckets: tuple[int, ...] | None) -> list[int]:
    """The places that count the beginning of a write."""
    base = _base(area)
    single = [_ALL_BEGUN] if buckets is None else [_SINGLE + 2 * bucket for bucket in buckets]
    return [base + place for place in (_ANY_BEGUN, *single)]


def _begun_places() -> Iterator[int]:
    for area in (POINTS, SERIES):
        yield from range(_base(area), _base(area) + _AREA_WORDS, 2)
