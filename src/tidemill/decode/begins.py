"""Reads what the first record of a list says for all of them, or what is around the list: its time and the step."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.decode.around import AroundReader, Surroundings
from tidemill.decode.cut import Cut, cut_document, cut_lines
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.nest import Nest
from tidemill.decode.plan import BeginPlan, DecodePlan
from tidemill.decode.reading import Reading
from tidemill.decode.steps import ListBegin, ListTimes, read_list_times
from tidemill.decode.strict_json import Object, parse_json
from tidemill.feeds.paths import path_text
from tidemill.model.payload import MAX_RECORDS


class ListBegins:
    """Reads the begins of the lists of a payload, whose records it cuts by `plan`. Thread-safe. `turn`: a heartbeat,
    called often."""

    def __init__(self, plan: DecodePlan, begin: BeginPlan, max_depth: int, turn: Callable[[], None]) -> None:
        self._plan, self._begin = plan, begin
        self._max_depth, self._turn = max_depth, turn
        self._path = path_text(plan.records)
        self._around = AroundReader(begin.plan, max_depth)
        root = begin.plan.root
        self._reads_record = bool(root.columns or root.nodes or root.value is not None)

    @property
    def noted(self) -> dict[int, tuple[str, ...]]:
        """The names of members to note when a payload is cut."""
        return self._around.noted

    def read_lists(self, reading: Reading, number: int, *, lines: bool) -> bool:
        """Whether the times of a payload's records can be known; else the payload is rejected. A payload without
        records, or of which none can be read, is left to the readers of records; of several lists those whose begin
        cannot be read are noted in `reading.lost_lists`."""
        body, unread = reading.payload_body(number), FaultCollector()
        if lines:
            cut: Cut | None = cut_lines(body)
        else:
            cut = cut_document(body, self._plan.records, self._max_depth, unread, self.noted)
        if "duplicate_key" in unread.codes():
            reading.reject_payload(number, unread)
            return False
        if cut is None or not 0 < len(cut) <= MAX_RECORDS:
            return True
        for first, count in _lists(cut):
            self._turn()
            if cut.nest is not None and cut.nest.is_broken(first):
                continue  # a group without records, which the readers of records reject
            path, faults = self._record_path(body, cut, first, lines=lines), FaultCollector()
            around = self._around.read_around(body, cut.nest, first, faults)
            times = self._read(cut.pieces(body, first, first + 1)[0], path, count, faults, around)
            if times is not None:
                reading.begins.append(ListBegin(number, first, times))
            elif cut.nest is not None and cut.nest.depth:
                reading.lost_lists.setdefault(number, []).append((first, faults))
            else:
                reading.reject_payload(number, faults)
                return False
        return True

    def read_columns(
        self,
        reading: Reading,
        number: int,
        piece: bytes,
        *,
        items: NDArray[np.int64],
        nest: Nest | None,
        faults: FaultCollector,
    ) -> bool:
        """Whether the times of a document of arrays can be known, of which the feed reads `piece` once; else faults are
        added."""
        count = int(items[-1]) + 1 if len(items) else 1
        around = self._around.read_around(reading.payload_body(number), nest, 0, faults)
        times = self._read(piece, self._path, count, faults, around)
        if times is not None:
            reading.begins.append(ListBegin(number, 0, times))
        return times is not None

    def _record_path(self, body: bytes, cut: Cut, record: int, *, lines: bool) -> str:
        if cut.nest is not None:
            return cut.nest.record_path(body, record)
        return f"{'$' if lines else self._path}[{record}]" if cut.listed else self._path

    def _read(
        self, piece: bytes, path: str, count: int, faults: FaultCollector, around: Surroundings
    ) -> ListTimes | None:
        if faults.count:
            return None
        value: Any = Object({})
        if self._reads_record:
            value = parse_json(piece, path, self._max_depth, faults, digits=True)
        return (
            None
            if faults.count
            else read_list_times(value, path, self._begin, count=count, faults=faults, around=around)
        )


def _lists(cut: Cut) -> Iterator[tuple[int, int]]:
    """(number of the first record, number of records) of each list of a payload."""
    nest = cut.nest
    firsts = [0]
    if nest is not None and nest.depth:
        groups = nest.rows_at(nest.depth, 0, len(cut))
        firsts += (np.flatnonzero(np.diff(groups)) + 1).tolist()
    for first, end in zip(firsts, [*firsts[1:], len(cut)], strict=True):
        yield first, end - first
