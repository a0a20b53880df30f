"""However many records of a payload are at fault, its bytes are read a few times and not more."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.worst_bodies import GOOD, PLAIN
from tidemill.decode.decoder import MAX_DEPTH
from tidemill.decode.fast import DecodedColumns, FastReader
from tidemill.decode.plan import compile_plan
from tidemill.decode.reader import PayloadReader
from tidemill.feeds.load import load_feed

FEED = load_feed(PLAIN)
PLAN = compile_plan(FEED)
TWICE = GOOD.replace(b'"id"', b'"id":"b","id"')  # which the fast reader notices only after it has read all


class Counting(FastReader):
    """The fast reader, which counts the bytes that it is given."""

    def __init__(self) -> None:
        super().__init__(PLAN, MAX_DEPTH)
        self.bytes = 0

    def read_payloads(self, bodies: Sequence[bytes], *, lines: bool) -> tuple[DecodedColumns, list[int]] | None:
        self.bytes += sum(map(len, bodies))
        return super().read_payloads(bodies, lines=lines)

    def read_records(self, pieces: Sequence[bytes]) -> DecodedColumns | None:
        self.bytes += sum(map(len, pieces))
        return super().read_records(pieces)


runs = st.lists(st.tuples(st.booleans(), st.integers(1, 200)), min_size=1, max_size=40)


@given(runs=runs, lines=st.booleans())
@example(runs=[(False, 4000)], lines=False)
@example(runs=[(True, 3), (False, 1)] * 1000, lines=False)
@example(runs=[(True, 7), (False, 1)] * 500, lines=True)
@example(runs=[(True, 100), (False, 1)] * 50, lines=False)
@example(runs=[(True, 4000), (False, 1)], lines=True)
def test_each_byte_is_read_a_few_times(runs: list[tuple[bool, int]], lines: bool) -> None:
    records = [GOOD if good else TWICE for good, count in runs for _ in range(count)]
    body = b"\n".join(records) if lines else b"[" + b",".join(records) + b"]"
    reader, counting = PayloadReader(PLAN, FEED.input.formats, MAX_DEPTH), Counting()
    reader._fast = counting
    reading = reader.read_payloads([(body, "ndjson" if lines else "json")])
    rejected = reading.rejected.frame()
    assert rejected["idx"].to_list() == [index for index, record in enumerate(records) if record is TWICE]
    assert set(rejected["reasons"].explode()) <= {"duplicate_key"}
    assert counting.bytes <= 6 * len(body)
