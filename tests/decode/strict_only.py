"""The decoder with its fast reader taken out: what the strict reader alone says."""

from tidemill.decode.columns import ColumnsReader
from tidemill.decode.fast import FastReader
from tidemill.decode.plan import DecodePlan, compile_plan
from tidemill.decode.reader import PayloadReader
from tidemill.feeds.definition import Feed


class NoFast(FastReader):
    def __init__(self, plan: DecodePlan) -> None:
        super().__init__(plan, 16)

    def read_payloads(self, bodies, *, lines):  # type: ignore[no-untyped-def]
        return None

    def read_records(self, pieces):  # type: ignore[no-untyped-def]
        return None


def strictly(feed: Feed) -> PayloadReader:
    """The strict reader of a feed whose records are nested."""
    reader = PayloadReader(compile_plan(feed), feed.input.formats, 16)
    nested = reader._nested
    assert nested is not None
    nested.fast = NoFast(nested.fast._plan)
    for part in nested._parts:
        part.fast = NoFast(part.fast._plan)
    return reader


def strict_reader(feed: Feed) -> PayloadReader:
    plan = compile_plan(feed)
    reader = PayloadReader(plan, feed.input.formats, 16)
    reader._fast = NoFast(reader._fast._plan)
    return reader


class NoFastColumns(ColumnsReader):
    def read_document(self, body: bytes) -> None:
        return None


def every_part_strictly(feed: Feed) -> PayloadReader:
    """The strict reader of a feed of any shape."""
    plan = compile_plan(feed)
    reader = strict_reader(feed) if not plan.nested else strictly(feed)
    if reader._columns is not None:
        fast = reader._columns._fast = NoFast(reader._columns._fast._plan)
        reader._columns._columns = NoFastColumns(reader._columns._own, fast, 16)
    return reader
