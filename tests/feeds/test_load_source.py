"""A [source] is read whole, or every fault of it is named with its line; its secrets are in no message."""

import pytest

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed

GOOD = 'name = "plant"\n[time]\npath = "$.at"\n[fields.power]\npath = "$.power"\n[source]\n'
PAGE = "url = 'http://x'\n[source.page]\nby = 'cursor'\n"


def source(text, **more):
    return load_feed(GOOD + text, source="plant.toml", **more).source


def faults(text, **more):
    with pytest.raises(FeedDefinitionError) as raised:
        source(text, **more)
    return raised.value


@pytest.mark.parametrize(
    ("text", "path", "code"),
    [
        ("every = '1s'", "source.url", "missing"),
        ("url = 'http://x'\nallow = ['10.0.0.1/8']", "source.allow.0", "bad_network"),
        ("url = 'http://x'\nallow = ['plant']", "source.allow.0", "bad_network"),
        ("url = 'http://x/{start}'", "source.url", "unknown_placeholder"),
        ("url = 'http://x'\nparams = { q = '{sart}' }", "source.params.q", "unknown_placeholder"),
        ("url = 'http://x'\nslow_after = 'soon'", "source.slow_after", "bad_duration"),
        ("url = 'http://x'\nopen_after = 0", "source.open_after", "out_of_range"),
        ("url = 'http://x'\ncron = '* * * *'", "source.cron", "bad_cron"),
        ("url = 'http://x'\ncron = '61 * * * *'", "source.cron", "bad_cron"),
        ("url = 'http://x'\ncron = '0 0 30 2 *'", "source.cron", "bad_cron"),
        ("url = 'http://x'\nevery = '1s'\ncron = '* * * * *'", "source.cron", "conflict"),
        ("url = 'http://x'\ncron = '* * * * *'\ntz = 'Mars/Base'", "source.tz", "unknown_zone"),
        ("url = 'http://x'\ntz = 'Europe/Zurich'", "source.tz", "conflict"),
        ("url = 'http://x'\noptions = { a = 1 }", "source.options", "conflict"),
        ("kind = 'telepathy'", "source.kind", "unknown_source"),
        (f"{PAGE}param = 'c'", "source.page.cursor_path", "missing"),
        (f"{PAGE}cursor_path = '$'\nparam = 'c'", "source.page.cursor_path", "bad_path"),
        (f"{PAGE}cursor_path = '$.next'", "source.page.param", "conflict"),
        (f"{PAGE}cursor_path = '$.next'\nparam = 'c'\nmax_pages = 0", "source.page.max_pages", "out_of_range"),
        ("url = 'http://x'\n[source.page]\nby = 'link'\nkeep = true", "source.page.keep", "conflict"),
        ("url = 'http://x'\ndrain = true\n[source.page]\nby = 'link'", "source.page", "conflict"),
        ("url = 'http://x'\nsecrets = ['a']", "source.secrets", "unknown_key"),
        ("url = 'http://x'\nevery = '${file:/x}'", "source.every", "misplaced_secret"),
    ],
)
def test_a_fault_is_named_with_its_key(text, path, code):
    found = [(fault.path.split(": ")[1], fault.code) for fault in faults(text).faults]
    assert found == [(path, code)]


def test_an_unknown_placeholder_comes_with_what_is_known():
    window = "url = 'http://x/{sart}'\n[source.window]\nstart = '2024-01-01T00:00:00Z'"
    assert "known here: {start}, {stop}" in faults(window).message
    assert "it needs [source.window]" in faults("url = 'http://x/{stop}'").message


def test_secrets_come_from_files_and_variables_without_a_default(tmp_path):
    (tmp_path / "token").write_text("from-a-file\n")
    text = (
        "url = 'http://${HOST:-plant}/'\n"
        f"headers = {{ a = 'Bearer ${{file:{tmp_path}/token}}', b = '${{NAMED}}', c = '${{EMPTY:-}}' }}"
    )
    environment = {"HOST": "meter", "NAMED": "from-a-variable"}
    found = source(text, environment=environment, secrets_folder=tmp_path)
    assert found.headers == {"a": "Bearer from-a-file", "b": "from-a-variable", "c": ""}
    assert found.hidden == ("from-a-file", "from-a-variable")
    assert found.url == "http://meter/"
    assert "from-a" not in repr(found)


def test_only_who_polls_reads_files(tmp_path):
    found = source("url = '${file:/run/secrets/url}'\nheaders = { a = '${file:/run/secrets/no}' }")
    assert found.headers == {"a": "${file:/run/secrets/no}"}
    assert found.hidden == ()


def test_a_secret_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "long").write_text("x" * 70_000)
    (tmp_path / "out").symlink_to("/etc/hostname")
    (tmp_path / "folder").symlink_to("/etc")
    (tmp_path / "proc").symlink_to("/proc/self")
    for name in ("none", "empty", "binary", "long", "out", "../x", "folder/hostname", "a/../../x", "proc/environ"):
        text = f"url = 'http://x'\nheaders = {{ a = '${{file:{tmp_path}/{name}}}' }}"
        [fault] = faults(text, secrets_folder=tmp_path).faults
        assert (fault.path, fault.code) == ("plant.toml:8: source.headers.a", "secret_unreadable")
        assert f"{tmp_path}/{name}" in fault.message
    outside = faults("url = 'http://x'\nheaders = { a = '${file:/etc/hostname}' }", secrets_folder=tmp_path)
    assert "setting `secrets`" in outside.message


def test_a_fault_does_not_show_the_secret_that_made_it(tmp_path):
    (tmp_path / "url").write_text("s3cret-that-is-no-url")
    for text, environment in (("${URL}", {"URL": "s3cret-that-is-no-url"}), (f"${{file:{tmp_path}/url}}", {})):
        error = faults(f"url = '{text}'", environment=environment, secrets_folder=tmp_path)
        assert error.faults[0].code == "bad_url"
        assert "s3cret" not in error.message
