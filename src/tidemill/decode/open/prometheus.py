"""Reads write requests of Prometheus, 1.0 and 2.0 (protobuf, after Snappy is undone): a sample is a record.

The label `__name__` is the record's name, the other labels are its tags, and its one field is `value`. A stale marker
says that a series has no value and is no record. Exemplars, histograms and metadata are passed over.

Sources: prometheus/prompb `remote.proto`, `types.proto`, `io/prometheus/write/v2/types.proto`; Protocol Buffers,
"Encoding".
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np

from tidemill.decode.open.ndjson import name_fault
from tidemill.decode.open.options import OpenOptions
from tidemill.decode.open.records import NAME, Chunk, FieldColumn, OpenPayload, Tags
from tidemill.decode.open.regular_lines import MAX_TAGS
from tidemill.model.payload import MAX_RECORDS
from tidemill.model.time import MAX_NS, MIN_NS

FIELD: Final = "value"
_STALE: Final = 0x7FF0000000000002  # the bits of a stale marker
_MS: Final = 1_000_000
_NAME_LABEL: Final = "__name__"


class ProtobufError(ValueError):
    """Bytes are not a message of protobuf."""


class _TooManySamplesError(Exception):
    """There are more samples than a payload may hold."""


def read_prometheus(body: bytes, _options: OpenOptions, payload: OpenPayload) -> None:
    """Read a write request of version 1.0."""
    _read(payload, lambda: _series_of_v1(body))


def read_prometheus2(body: bytes, _options: OpenOptions, payload: OpenPayload) -> None:
    """Read a write request of version 2.0."""
    _read(payload, lambda: _series_of_v2(body))


def _read(payload: OpenPayload, series: Any) -> None:
    samples = _Samples(payload)
    try:
        for labels, own in series():
            samples.add(labels, own)
    except _TooManySamplesError:
        payload.refuse("too_many_records", f"there are more than {MAX_RECORDS} samples; send them in several bodies")
        return
    except (ProtobufError, UnicodeDecodeError, IndexError, struct.error) as error:
        payload.refuse("undecodable", f"it is no write request of Prometheus: {error}")
        return
    samples.finish()


def _series_of_v1(body: bytes) -> Iterator[tuple[list[tuple[str, str]], list[bytes]]]:
    """(labels, samples) of each series; of labels at most one more than are taken."""
    for number, series in messages(body):
        if number == 1:
            labels: list[tuple[str, str]] = []
            samples: list[bytes] = []
            for part, value in messages(series):
                if part == 1 and len(labels) <= MAX_TAGS:
                    labels.append(_label(value))
                elif part == 2:
                    _append(samples, value)
            yield labels, samples


def _label(body: bytes) -> tuple[str, str]:
    key = text = b""
    for number, value in messages(body):
        if number == 1:
            key = value
        elif number == 2:
            text = value
    return key.decode(), text.decode()


def _append(samples: list[bytes], sample: bytes) -> None:
    if len(samples) >= MAX_RECORDS:
        raise _TooManySamplesError
    samples.append(sample)


def _series_of_v2(body: bytes) -> Iterator[tuple[list[tuple[str, str]], list[bytes]]]:
    symbols = [value.decode() for number, value in messages(body) if number == 4]
    for number, series in messages(body):
        if number == 5:
            numbers: list[int] = []
            samples: list[bytes] = []
            for part, value in messages(series):
                if part == 1:
                    numbers += islice(_varints(value), 2 * MAX_TAGS + 2 - len(numbers))
                elif part == 2:
                    _append(samples, value)
            if len(numbers) % 2:
                raise ProtobufError("a label has no value: the number of its references is odd")
            yield [(symbols[k], symbols[v]) for k, v in zip(numbers[::2], numbers[1::2], strict=True)], samples


class _Samples:
    """Collects samples into columns."""

    def __init__(self, payload: OpenPayload) -> None:
        self._payload = payload
        self._tags: dict[Tags, int] = {}
        self._rows: list[tuple[int, int, int, float]] = []
        self.count = 0

    def add(self, labels: list[tuple[str, str]], samples: list[bytes]) -> None:
        """Add the samples of a series."""
        if not samples:
            return
        fault = _labels_fault(labels)
        tags = tuple(sorted((NAME if key == _NAME_LABEL else key, value) for key, value in labels))
        identity = -1 if fault else self._tags.setdefault(tags, len(self._tags))
        for sample in samples:
            value: float | None = 0.0
            time = 0
            for number, part in fields(sample):
                if number == 1:
                    if not isinstance(part, bytes):
                        raise ProtobufError("the value of a sample is no double")
                    if int.from_bytes(part, "little") == _STALE:
                        value = None
                        continue
                    (value,) = struct.unpack("<d", part)
                elif number == 2:
                    if not isinstance(part, int):
                        raise ProtobufError("the time of a sample is no integer")
                    time = part - (1 << 64) if part >> 63 else part
            if value is not None:
                self._add(identity, fault, value, time * _MS)

    def _add(self, identity: int, fault: tuple[str, str] | None, value: float, time: int) -> None:
        index = self.count
        if index >= MAX_RECORDS:
            raise _TooManySamplesError
        self.count += 1
        if fault is None and value - value != 0:
            fault = "not_finite", "its value is not finite"
        if fault is None and not MIN_NS <= time <= MAX_NS:
            fault = "time_out_of_range", "its time is outside 1900-01-01 to 2262-04-11"
        if fault is None:
            self._rows.append((index, identity, time, value))
        else:
            self._payload.reject(index, f"sample {index}", *fault)

    def finish(self) -> None:
        """Hand the samples over."""
        self._payload.count += self.count
        if self._rows:
            indexes, identities, times, values = zip(*self._rows, strict=True)
            column = FieldColumn(FIELD, np.array(values, np.float64))
            index, identity, time = (np.array(part, np.int64) for part in (indexes, identities, times))
            self._payload.add_chunk(Chunk(index, identity, list(self._tags), time, [column]))


def _labels_fault(labels: list[tuple[str, str]]) -> tuple[str, str] | None:
    """(code, sentence) of what is wrong with the labels of a series, or None."""
    if len(labels) > MAX_TAGS:
        return "too_many_members", f"it has more than {MAX_TAGS} labels"
    if len({key for key, _ in labels}) < len(labels) or NAME in dict(labels):
        return "duplicate_key", f"a label is there twice, or is {NAME}, which is the name's"
    return next((fault for pair in labels for text in pair if (fault := name_fault(text))), None)


def messages(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of each field of a message that holds bytes: texts, messages, packed numbers."""
    return ((number, value) for number, value, kind in _fields(body) if kind == 2 and isinstance(value, bytes))


def fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field of a message: an integer for varints, else its bytes."""
    return ((number, value) for number, value, _ in _fields(body))


def _fields(body: bytes) -> Iterator[tuple[int, int | bytes, int]]:
    at, end = 0, len(body)
    while at < end:
        key, at = _varint(body, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(body, at)
            yield key >> 3, number, kind
            continue
        if kind == 2:
            size, at = _varint(body, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ProtobufError(f"a field is of the unknown kind {kind}")
        if at + size > end:
            raise ProtobufError("it is cut off")
        yield key >> 3, body[at : at + size], kind
        at += size


def _varints(body: bytes) -> Iterator[int]:
    at = 0
    while at < len(body):
        number, at = _varint(body, at)
        yield number


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise ProtobufError("a number is too long")
