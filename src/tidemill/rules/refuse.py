"""Applies the rules of action `refuse` to one payload at intake, before it is acknowledged. Pure.

Such rules need no past: the feed's validation forbids it. Records without an instant are left for the mill to reject.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import polars as pl

from tidemill.decode.batch import Batch
from tidemill.decode.cut import cut_document
from tidemill.decode.decoder import DEEPEST
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.scan import BOM
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.feeds.paths import WILDCARDS, parse_path
from tidemill.model.payload import Payload
from tidemill.rules.apply import add_hits
from tidemill.rules.rule_tests import RuleTest, feed_tests, hit_column
from tidemill.rules.summary import add_summary
from tidemill.rules.time import resolve_times

_JSON: Final = "json"
_LINES: Final = "ndjson"


def refusals(feed: Feed, payload: Payload, batch: Batch) -> tuple[Fault, ...]:
    """A fault for every rule of action `refuse` that a record breaks: the record's path, the rule's reason code and
    sentence. `batch` is the one payload, decoded. At most a hundred faults, and one that says how many more there
    are."""
    rule_tests = feed_tests(feed, refusing=True)
    if not rule_tests.all or batch.frame.is_empty():
        return ()
    frame = resolve_times(feed, batch.frame)
    if feed.shape.kind == "summary":
        frame = add_summary(frame, next(iter(feed.fields)))
    marks = [hit_column(number) for number in range(len(rule_tests.all))]
    broke = add_hits(feed, frame, batch, rule_tests).filter(pl.any_horizontal(marks)).sort("idx").select("idx", *marks)
    return _faults(broke, rule_tests.all, feed, payload, int(batch.counts["records"].sum()))


def _faults(
    broke: pl.DataFrame, rule_tests: Sequence[RuleTest], feed: Feed, payload: Payload, records: int
) -> tuple[Fault, ...]:
    if broke.is_empty():
        return ()
    record_path = _paths(feed, payload, records)
    faults = FaultCollector()
    for index, *hits in broke.iter_rows():
        path = record_path(index)
        for test, broken in zip(rule_tests, hits, strict=True):
            if broken:
                faults.add(path, test.code, test.detail.removeprefix(f"{test.code}: "))
    return faults.all()


def _paths(feed: Feed, payload: Payload, records: int) -> Callable[[int], str]:
    """The path of a record of a payload by its index."""
    root, at = "$" if payload.format == _LINES else feed.input.root, parse_path(feed.input.root)
    listed = records > 1 or payload.format != _JSON or feed.input.columns is not None
    if payload.format == _JSON and (not listed or any(step in WILDCARDS for step in at)):
        body = payload.body.removeprefix(BOM)
        cut = cut_document(body, at, DEEPEST, FaultCollector())
        if cut is not None and cut.nest is not None:
            return partial(cut.nest.record_path, body)
        listed = cut is None or cut.listed
    return lambda index: f"{root}[{index}]" if listed else root
