"""A feed's retention is changed in its text, and nothing else of the text is."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.recipes import RECIPES
from tidemill.feeds.retention_text import with_retention

DURATIONS = st.none() | st.sampled_from(["30d", "12h", "1w", '"', "\\", "\n[x]\n", "é"]) | st.text(max_size=12)
PIECES = st.lists(
    st.sampled_from(
        [
            'name = "a"\n', "# a comment\n", "[time]\n", 'path = "$.t"\n', "\n", "[[rules]]\n", "[retention]\n",
            "[retention] # kept\n", 'points = "9d"\n', "seal_rollups = true\n", "[retention.more]\n",
            'text = """\n[retention]\n"""\n', "[ retention ]\n", "retention.points = '1d'\n",
            'retention = { points = "1d" }\n',
        ]
    ),
    max_size=8,
)  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_another_retention_and_gives_it_back(name: str) -> None:
    text = RECIPES[name]
    changed = with_retention(text, "45d", seal_rollups=False)
    assert tomllib.loads(changed)["retention"] == {"points": "45d"}
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in changed.splitlines() if line.startswith("#")
    ]
    assert with_retention(changed, "45d", seal_rollups=False) == changed
    assert "retention" not in tomllib.loads(with_retention(changed, None, seal_rollups=False))


@given(pieces=PIECES, points=DURATIONS, seal=st.booleans())
def test_only_the_retention_changes_or_the_text_is_refused(pieces: list[str], points: str | None, seal: bool) -> None:
    text = "".join(pieces)
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    try:
        after = tomllib.loads(with_retention(text, points, seal_rollups=seal))
    except FeedDefinitionError as error:
        assert error.faults[0].code == "retention_form"
        assert "retention" in text
        return
    retention = after.pop("retention", {})
    before.pop("retention", None)
    assert after == before
    assert (retention.get("points"), retention.get("seal_rollups", False)) == (points, seal)


def test_a_comment_about_what_follows_stays() -> None:
    text = 'name = "a"\n[retention]\npoints = "1d" # short\n\n# When it was.\n[time]\npath = "$.t"\n'
    changed = with_retention(text, "2d", seal_rollups=True)
    rest = 'name = "a"\n\n# When it was.\n[time]\npath = "$.t"\n'
    assert changed == rest + '\n[retention]\npoints = "2d"\nseal_rollups = true\n'


def test_a_table_in_a_text_is_no_table() -> None:
    text = 'name = "a"\ndescription = """\n[retention]\npoints = "1d"\n"""\n'
    with pytest.raises(FeedDefinitionError):
        with_retention(text, "2d", seal_rollups=False)
