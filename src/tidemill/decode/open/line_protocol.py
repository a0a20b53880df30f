"""Reads InfluxDB line protocol: all lines as columns where they are regular, else groups of regular lines, and the
others one by one. `exact_lines.py` says what a line is; the fast reader takes only what it would read likewise."""

from typing import Final

import numpy as np

from tidemill.decode.open.exact_lines import is_whole_line, read_exactly
from tidemill.decode.open.options import OpenOptions
from tidemill.decode.open.records import OpenPayload
from tidemill.decode.open.regular_lines import DELETED, FEWEST, SEPARATORS, read_group, read_regular
from tidemill.model.payload import MAX_RECORDS


def read_line_protocol(body: bytes, options: OpenOptions, payload: OpenPayload) -> None:
    """Read a payload of line protocol."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    if b"\r\n" in body and b'"' not in body:
        body = body.replace(b"\r\n", b"\n")
    if not body.strip():
        payload.refuse("empty_body", "there is nothing here; send lines of line protocol")
        return
    if body.count(b"\n") >= MAX_RECORDS and body.rstrip(b"\n").count(b"\n") >= MAX_RECORDS:
        payload.refuse("too_many_records", f"there are more than {MAX_RECORDS} lines; send them in several bodies")
        return
    if body.count(b"=") > MAX_PAIRS:
        payload.refuse("too_many_records", f"there are more than {MAX_PAIRS} tags and fields; send several bodies")
        return
    chunk = read_regular(body, None, options.unit_ns) if len(body) > SMALL else None
    if chunk is not None:
        payload.add_chunk(chunk)
        payload.count += len(chunk.indexes)
    elif len(body) <= SMALL or _has_texts_of_lines(body):
        payload.count += read_exactly(body, 0, options.unit_ns, payload)
    else:
        _read_groups(body, options.unit_ns, payload)


def _has_texts_of_lines(body: bytes) -> bool:
    """Whether a text may go on in the next line: some line with a quote is no whole record by itself."""
    return b'"' in body and not all(is_whole_line(line) for line in body.split(b"\n") if b'"' in line)


def _read_groups(body: bytes, unit_ns: int, payload: OpenPayload) -> None:
    lines = body.split(b"\n")
    groups: dict[bytes, list[int]] = {}
    for index, line in enumerate(lines):
        groups.setdefault(line.translate(None, DELETED), []).append(index)
    irregular: list[int] = []
    for shape, numbers in groups.items():
        if len(numbers) < FEWEST or shape.translate(None, SEPARATORS):
            irregular += numbers
            continue
        chunks, left = read_group([lines[number] for number in numbers], np.array(numbers), unit_ns)
        for chunk in chunks:
            payload.add_chunk(chunk)
            payload.count += len(chunk.indexes)
        irregular += [numbers[number] for number in left.tolist()]
    for number in sorted(irregular):
        payload.count += read_exactly(lines[number], number, unit_ns, payload)


MAX_PAIRS: Final = 12 << 20  # tags and fields of a payload
SMALL: Final = 2048  # bytes below which the exact reader is quicker
