"""Where the next page is, read from any answer."""

import pytest

from tidemill.sources.http import Fetched
from tidemill.sources.paging import Paging, PagingError, next_cursor

LINK = Paging(by="link")


def answer(body=b"", **more):
    return Fetched(200, "", body, 0.0, **more)


ASKED = "http://x:1/data?page=1"


@pytest.mark.parametrize(
    ("body", "cursor"),
    [
        (b'{"a": {"next": "c2"}}', "c2"),
        (b'{"a": {"next": 17}}', "17"),
        (b'{"a": {"next": 12345678901234567890}}', "12345678901234567890"),
        *((b'{"a": {"next": %s}}' % none, None) for none in (b"null", b"false", b'""', b"[1]", b"{}")),
        *((body, None) for body in (b"{}", b'{"a": 1}', b"[]", b"", b"<html>", b'{"a": ' * 10_000)),
    ],
)
def test_cursor_is_read_at_its_path(body, cursor):
    assert next_cursor(body, ("a", "next")) == cursor


@pytest.mark.parametrize(
    ("header", "url"),
    [
        ('<http://x:1/data?page=2>; rel="next"', "http://x:1/data?page=2"),
        ("<?page=2>; rel=next", "http://x:1/data?page=2"),
        ('</b?c=<d>, </data?page=9>; rel="last", </data?page=2#there>; rel="Next"', "http://x:1/data?page=2"),
        ('</data?page=2>; title="a, b"; rel="alternate next"', "http://x:1/data?page=2"),
        ('</data?page=0>; rel="prev"', None),
        ("", None),
        (";;<<>>,,rel=next", None),
    ],
)
def test_link_to_the_next_page_is_found(header, url):
    assert LINK.next_token(ASKED, None, answer(link=header), 1, full=False) == url


@pytest.mark.parametrize(
    "target", ["https://x:1/data", "http://x:2/data", "http://y:1/data", "//y/data", "ftp://x:1/", "http://x/"]
)
def test_link_to_another_origin_is_not_followed(target):
    with pytest.raises(PagingError, match="another origin") as raised:
        LINK.next_token(ASKED, None, answer(link=f'<{target}>; rel="next"'), 1, full=False)
    assert raised.value.reason == "foreign_link"


def test_cursor_is_sent_as_a_parameter_or_in_the_url():
    with_param = Paging(by="cursor", path=("next",), param="after")
    assert with_param.page_url("http://x/?a=1", None) == "http://x/?a=1"
    assert with_param.page_url("http://x/?a=1", "b&c=/") == "http://x/?a=1&after=b%26c%3D%2F"
    started = Paging(by="cursor", path=("next",), param="after", start="0")
    assert started.page_url("http://x/", None) == "http://x/?after=0"
    in_url = Paging(by="cursor", path=("next",))
    assert in_url.page_url("http://x/%7Bcursor%7D?d={cursor}", "b/{stop}") == "http://x/b%2F%7Bstop%7D?d=b%2F%7Bstop%7D"
    assert in_url.page_url("http://x/{cursor}", None) == "http://x/"
