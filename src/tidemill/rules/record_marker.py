"""Which bytes of a payload are at fault in a record: those of the members that its faults name, and those that the
rules look at which it breaks. For people: what cannot be found is left out.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from tidemill.decode.locate import ByteSpan, Locator
from tidemill.decode.scan import BOM
from tidemill.decode.spans import RecordSpans
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.feeds.packed import packed_type
from tidemill.feeds.paths import document_steps, in_record, parse_path
from tidemill.rules.verdicts import member_paths

MAX_MARKS: Final = 20  # of a record


class AtFault(msgspec.Struct, frozen=True):
    """A part of a record that is at fault: its `path` in the payload, [start, end) in the payload's bytes, and the
    `reason` code. Of a member that is missing, the bytes are those of the object or record that lacks it."""

    path: str
    start: int
    end: int
    reason: str


class RecordMarker:
    """Marks the records of one payload. `spans`: where its records are."""

    def __init__(self, feed: Feed, body: bytes, form: str, spans: RecordSpans) -> None:
        self._feed, self._spans = feed, spans
        self._bare = body.removeprefix(BOM)
        self._shift = len(body) - len(self._bare)
        self._lines = form == "ndjson"
        self._binary = form == "binary"

    def at_fault(self, index: int, faults: Sequence[Fault], columns: Iterable[tuple[str, str]]) -> list[AtFault]:
        """What is at fault in a record: `faults` of the contract, and `columns` (`f.bar`) with the reason code of the
        rule that looks at them. At most MAX_MARKS."""
        marks: dict[AtFault, None] = {}
        for fault in faults[:MAX_MARKS]:
            span = self._fault_span(index, fault.path)
            if span is not None:
                marks[AtFault(fault.path, span.start, span.end, fault.code)] = None
        for column, reason in columns:
            for path, span in self._column_spans(index, column):
                marks[AtFault(path, span.start, span.end, reason)] = None
        return list(marks)[:MAX_MARKS]

    def record_path(self, index: int) -> str:
        """The path of a record in the payload; that of the payload where the record is in a group."""
        root = "$" if self._lines else self._feed.input.root
        if "*" in root:
            return "$"
        return f"{root}[{index}]" if self._spans.listed or len(self._spans) > 1 else root

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self._bare)

    def _locate(self, at: int, steps: Sequence[str | int]) -> ByteSpan | None:
        """The span of a member, from an offset in the payload on; of one that is missing that of what should hold
        it."""
        for count in range(len(steps), 0, -1):
            span = self._locator.locate(at - self._shift, steps[:count])
            if span is not None:
                return ByteSpan(span.start + self._shift, span.end + self._shift)
        return None

    def _fault_span(self, index: int, path: str) -> ByteSpan | None:
        spans, whole = self._spans, self._spans.span(index)
        if self._feed.input.layout is not None:
            return self._slot_span(index, path.rpartition(".")[2]) or whole
        if spans.cut is not None:
            parts = dict(spans.parts(index))
            return next((span for known, span in parts.items() if path.startswith(known)), None)
        if self._feed.shape.kind == "samples":
            return self._locate(self._shift, document_steps(path) or ())
        prefix = self.record_path(index)
        if whole is not None and prefix != "$" and path.startswith(prefix):
            return self._locate(whole.start, document_steps(f"${path[len(prefix) :]}") or ()) or whole
        steps = document_steps(path) or ()
        return self._locate(self._shift, steps) or whole

    def _column_spans(self, index: int, column: str) -> list[tuple[str, ByteSpan]]:
        if self._feed.input.layout is not None:
            name = column.partition(".")[2] or column
            span = self._slot_span(index, name) or self._spans.span(index)
            return [] if span is None else [(f"$[{index}].{name}", span)]
        paths = member_paths(self._feed, column)
        if self._feed.shape.kind == "samples":
            whole = self._spans.span(index)
            return [] if whole is None or column != "f.value" else [(f"$.values[{index}]", whole)]
        if self._spans.cut is not None:
            ends = tuple(f"{self._feed.input.root}{path[1:]}" for path in paths)
            return [(path, span) for path, span in self._spans.parts(index) if path.removesuffix(f"[{index}]") in ends]
        whole = self._spans.span(index)
        if whole is None:
            return []
        located = []
        for path in paths:
            steps: Any = parse_path(path)
            span = self._locator.locate(whole.start - self._shift, steps) if in_record(steps) else None
            if span is not None:
                place = f"{self.record_path(index)}{path[1:]}"
                located.append((place, ByteSpan(span.start + self._shift, span.end + self._shift)))
        return located

    def _slot_span(self, index: int, name: str) -> ByteSpan | None:
        """The bytes of a member of a binary record."""
        feed, layout, whole = self._feed, self._feed.input.layout, self._spans.span(index)
        member: Any = feed.time if name == "time" else None
        for group in (feed.tags, feed.attributes, feed.fields):
            member = member or group.get(name)
        if member is None or layout is None or whole is None or member.at is None or not self._binary:
            return None
        packed = packed_type(member.type or "")
        size = packed.size if packed is not None else 1
        if getattr(member, "length", None):
            size = member.length * (size if packed is not None else 1)
        start = member.at + (0 if member.in_ == "header" else whole.start)
        return ByteSpan(start, start + size)
