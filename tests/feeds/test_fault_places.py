"""The faults of a definition at their line and columns, with what was probably meant."""

import pytest

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.fault_places import SOURCE, PlacedFault, place_faults
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.feeds.revise import check_revision


def faults(text: str) -> list[PlacedFault]:
    with pytest.raises(FeedDefinitionError) as raised:
        load_feed(text, source=SOURCE)
    return place_faults(text, raised.value.faults)


def marked(text: str) -> list[str]:
    """What of the text is marked, fault by fault."""
    lines = text.splitlines()
    return [lines[fault.line - 1][fault.column - 1 : fault.end - 1] for fault in faults(text)]


GOOD = RECIPES["dropzone"]


@pytest.mark.parametrize(
    ("line", "mark", "code", "instead"),
    [
        ('titel = "x"', "titel", "unknown_key", "title"),
        ('"titel" = "x" # title', '"titel"', "unknown_key", "title"),
        ('duplicates = "lats" # keep', '"lats"', "wrong_type", "last"),
        ("description = [1, 2]", "[1, 2]", "wrong_type", None),
        ('input = { formats = ["json"], recrods = "$" }', "recrods", "unknown_key", "records"),
        ('input = { records = "$", not_exact = "rounded" }', '"rounded"', "wrong_type", "round"),
        ("title = 'a' b", "b", "invalid_toml", None),
        ("[tags.site]\npath = 7", "7", "wrong_type", None),
        ('[tags.site]\npath = "nowhere"', '"nowhere"', "bad_path", None),
        ('[[rules]]\ncheck = "rnge"', '"rnge"', "unknown_check", "range"),
        ("[retention]\nseal_rollups = 1 # x", "1", "wrong_type", None),
    ],
)
def test_a_fault_is_marked_where_it_is(line: str, mark: str, code: str, instead: str | None) -> None:
    text = f'name = "x"\n{line}\n' if line.startswith(("in", "ti", "du", "de", '"')) else f'name = "x"\n\n{line}\n'
    at = [fault for fault in faults(text) if fault.code == code]
    assert at, faults(text)
    lines = text.splitlines()
    assert mark in [lines[fault.line - 1][fault.column - 1 : fault.end - 1] for fault in at]
    assert instead in [fault.instead for fault in at]
    for fault in at:
        assert "did you mean" not in fault.message
        assert (fault.hint is None) or fault.hint.startswith(("did you mean '", "known: "))


def test_a_missing_key_marks_the_head_of_its_table() -> None:
    text = f"{GOOD}\n[labels]\nrequired = true\n"
    assert [mark for mark in marked(text) if mark == "[labels]"] == ["[labels]"]
    assert [fault.key for fault in faults(text)] == ["labels.path"]


def test_faults_of_nothing_are_at_the_first_line() -> None:
    for fault in faults(""):
        assert (fault.line, fault.column) == (1, 1)
        assert fault.end > fault.column


@pytest.mark.parametrize("cut", range(0, len(GOOD), 37))
def test_a_text_that_is_being_typed_has_places(cut: int) -> None:
    """However much of a definition is there, every fault has a place in it."""
    text = GOOD[:cut]
    try:
        check_revision(text, "dropzone", None, source=SOURCE)
    except FeedDefinitionError as error:
        lines = text.splitlines() or [""]
        for fault in place_faults(text, error.faults):
            assert 1 <= fault.line <= len(lines)
            assert 1 <= fault.column < fault.end <= max(len(lines[fault.line - 1]), fault.column) + 1
            assert fault.message
