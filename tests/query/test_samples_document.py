"""The document of a whole series: the same however the store cuts its answer."""

import itertools
import json
from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.model.time import format_instant
from tidemill.query.samples_document import SAMPLE, samples_document

values = st.none() | st.floats(allow_nan=False, allow_infinity=False)
samples = st.lists(st.tuples(values, st.integers(0, 2**60)), max_size=8)


@settings(deadline=None)
@given(samples, st.lists(st.integers(0, 128)))
def test_a_document_has_every_sample_however_the_stream_is_cut(
    given_samples: list[tuple[float | None, int]], cuts: list[int]
) -> None:
    rows = np.array([(np.nan if value is None else value, ns) for value, ns in given_samples], SAMPLE).tobytes()
    bounds = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    times = [format_instant(ns) for _, ns in given_samples]
    pieces = (rows[first:last] for first, last in itertools.pairwise(bounds))
    assert json.loads(b"".join(samples_document({"id": "x"}, pieces))) == {
        "id": "x",
        "values": [value for value, _ in given_samples],
        "times": times,
        "count": sum(value is not None for value, _ in given_samples),
        "missing": sum(value is None for value, _ in given_samples),
        "start": times[0] if times else None,
        "end": times[-1] if times else None,
    }


def test_values_are_sent_before_the_store_has_read_the_rest() -> None:
    def stream() -> Iterator[bytes]:
        yield np.array([(1.5, 0)], SAMPLE).tobytes()
        raise RuntimeError("the rest is not needed yet")

    pieces = samples_document({"id": "x"}, stream())
    assert next(pieces) + next(pieces) == b'{"id":"x","values":[1.5'
