"""Bytes joined into documents: whatever the pieces, the same array."""

import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.query.answers import json_array, object_with_items

rows = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.floats(allow_nan=False), max_size=2))


@settings(deadline=None)
@given(rows, st.lists(st.integers(0, 400)))
def test_an_array_is_the_same_however_its_lines_are_cut(items: list[dict[str, object]], cuts: list[int]) -> None:
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    places = [0, *sorted(cut for cut in cuts if cut < len(lines)), len(lines)]
    pieces = [lines[a:b] for a, b in itertools.pairwise(places)]
    assert json.loads(b"".join(json_array(pieces))) == items
    document = json.loads(b"".join(object_with_items({"a": 1}, json_array(pieces), {"next": None})))
    assert document == {"a": 1, "items": items, "next": None}
