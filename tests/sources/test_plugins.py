"""A source that an installed package fetches: found by its entry point, treated as one over HTTP is."""

import sys

import pytest

from tests.sources.conftest import until
from tidemill import plugins
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.feeds.source import FilledSource, Source

PACKAGE = '''
import asyncio
from tidemill.sources.plugin import PluginPage

made = []


class Shelf:
    """Gives the texts of `options["books"]`, one a fetch; the cursor is the number of the next one."""

    def __init__(self, options):
        if options.get("broken"):
            raise ValueError(f"cannot open {options['broken']}")
        self.options, self.cursors, self.closed = options, [], False
        made.append(self)

    async def fetch(self, cursor):
        self.cursors.append(cursor)
        books = self.options["books"]
        number = int(cursor or 0)
        if number >= len(books):
            return PluginPage(body=b"", cursor=cursor)
        book = books[number]
        if book == "hang":
            await asyncio.sleep(60)
        if book == "exit":
            raise SystemExit(3)
        if book == "raise":
            raise RuntimeError(f"no light to read by, {self.options.get('word')}")
        if book == "none":
            return None
        if book == "header":
            return PluginPage(body=b"{}", content_type="a\\r\\nx-tidemill-secret: b")
        return PluginPage(body=book.encode(), cursor=str(number + 1), more=True)

    async def close(self):
        self.closed = True
'''


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A package that is installed: its module, and its entry points in its metadata."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "shelf_package.py").write_text(PACKAGE)
    info = folder / "shelf_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tidemill.sources]\nshelf = shelf_package:Shelf\n")
    sys.path.insert(0, str(folder))
    plugins.load_plugins.cache_clear()
    import shelf_package  # type: ignore[import-not-found]

    yield shelf_package
    sys.path.remove(str(folder))
    plugins.load_plugins.cache_clear()


def feed(*books, name="shelf", **more):
    options = {"every": "30ms", "max_backoff": "30ms", "timeout": "5s", **more}
    given = {"books": list(books), **options.pop("options", {})}
    return Feed(name=name, source=Source(kind="shelf", options=given, **options))


def test_a_definition_names_an_installed_plugin(shelf):
    text = (
        'name = "a"\n[time]\npath = "$.t"\n[fields.v]\npath = "$.v"\n[source]\nkind = "shelf"\noptions = { books = [] }'
    )
    assert load_feed(text).source.kind == "shelf"


def test_plugin_is_asked_on_from_what_was_taken(shelf, polling, intake, states):
    shelf.made.clear()
    rows = []
    with polling(feed('{"v": 1}', '[{"v": 2}, {"v": 3}]'), record=rows.extend):
        until(lambda: (s := states().get("shelf")) and s.state == "empty")
    assert states()["shelf"].cursor == "2"
    intake.up = False
    with polling(feed('{"v": 1}', '[{"v": 2}, {"v": 3}]', '{"v": 4}')):
        until(lambda: states()["shelf"].reason == "intake_unavailable")
    intake.up = True
    with polling(feed('{"v": 1}', '[{"v": 2}, {"v": 3}]', '{"v": 4}')):
        until(lambda: states()["shelf"].state == "empty")
    assert intake.bodies() == [b'{"v": 1}', b'[{"v": 2}, {"v": 3}]', b'{"v": 4}']
    assert [one.cursors[0] for one in shelf.made] == [None, "2", "2"], "the cursor moves when a page was taken"
    assert all(one.closed for one in shelf.made)
    assert [(row.result, row.status, row.records) for row in rows[:3]] == [
        ("data", 0, 1),
        ("data", 0, 2),
        ("empty", 0, 0),
    ]


@pytest.mark.parametrize(
    "case",
    [
        ("hang", {"timeout": "50ms"}, "timeout", "did not answer within 0.15 s"),
        ("raise", {}, "plugin", "RuntimeError: no light"),
        ("exit", {}, "plugin", "SystemExit: 3"),
        ("none", {}, "plugin", "fetch gave NoneType"),
        ("header", {}, "plugin", "a content type that is not plain text"),
        ("<html>", {}, "garbage", "none of json, ndjson"),
        ('{"v": 1234567890}', {"max_bytes": 10}, "too_large", "larger than 10 bytes"),
        ("", {"options": {"broken": "the door"}}, "plugin", "ValueError: cannot open the door"),
    ],
)
def test_error_of_a_plugin_is_the_state_of_its_source(shelf, polling, intake, states, case):
    (book, more, reason, detail), rows = case, []
    with polling(feed(book, **more), feed('{"v": 1}', name="good"), record=rows.extend):
        state = until(lambda: (s := states().get("shelf")) and s.failures_in_a_row > 1 and s)
        assert (state.state, state.reason) == ("failing", reason) and detail in state.detail
        until(lambda: (s := states().get("good")) and s.state == "empty")
    assert b'{"v": 1}' in intake.bodies()
    assert {row.result for row in rows if row.feed == "shelf"} == {reason}


def test_secret_of_a_plugin_stays_hidden(shelf, polling, states):
    feed_with = feed("raise", options={"word": "open-sesame"})
    source = feed_with.source
    hidden = FilledSource(kind=source.kind, options=source.options, every="30ms", secrets=("open-sesame",))
    with polling(Feed(name="shelf", source=hidden)):
        state = until(lambda: (s := states().get("shelf")) and s.reason == "plugin" and s)
    assert state.detail == "RuntimeError: no light to read by, ***"


def test_plugin_that_is_gone_is_a_fault_of_the_definition(polling, states):
    plugins.load_plugins.cache_clear()
    with polling(Feed(name="shelf", source=Source(kind="vanished", every="30ms"))):
        until(lambda: (s := states().get("shelf")) and s.reason == "definition")
