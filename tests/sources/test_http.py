"""The safe client against servers that answer byte for byte what a test says."""

import gzip
import tracemalloc

import pytest

from tests.sources.answering import LIMITS, OK, body, failure, get, redirect, serving
from tidemill.sources.http import FetchLimits
from tidemill.sources.request import Validators
from tidemill.sources.unpack import decompress_body
from tidemill.sources.wire import Response, WireError


def test_bodies_in_every_framing():
    assert body(OK) == b"ok"
    assert body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n") == b"ok"
    assert body(b"HTTP/1.0 200 OK\r\n\r\nok<close>") == b"ok"
    assert body(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK) == b"ok"
    assert body(b"HTTP/1.1 204 No Content\r\n\r\n", expected=(204,)) == b""
    assert body([OK[:20], OK[20:40], OK[40:]]) == b"ok"


def packed(content, encoding=b"gzip"):
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        encoding,
        len(content),
        content,
    )


def test_compressed_body_is_unpacked_within_the_limit():
    assert body(packed(gzip.compress(b"ok"))) == b"ok"
    assert failure(packed(gzip.compress(b"0" * 1_000_000)), hint="raise max_bytes") == "too_large"
    assert failure(packed(gzip.compress(b"ok")[:-4]), hint="cut short") == "protocol"
    assert failure(packed(b"not gzip"), hint="broken") == "protocol"
    assert failure(packed(b"ok", b"br"), hint="have the server send gzip") == "protocol"


def test_bomb_is_never_held_unpacked():
    bomb = Response(200, {"content-encoding": "gzip"}, gzip.compress(b"0" * 20_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="larger than 10000 bytes when unpacked"):
            decompress_body(bomb, 10_000)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_compressed_body_of_several_parts_is_unpacked_whole():
    half = gzip.compress(b"0" * 5000)
    assert body(packed(gzip.compress(b"o") + gzip.compress(b"k"))) == b"ok"
    assert body(packed(gzip.compress(b"ok") + b"\0" * 512)) == b"ok"
    assert len(body(packed(half * 2))) == LIMITS.max_bytes
    assert failure(packed(half * 2 + gzip.compress(b"1"))) == "too_large"
    assert failure(packed(gzip.compress(b"ok") + b"junk")) == "protocol"
    assert body(packed(gzip.compress(b"") * 400 + gzip.compress(b"ok"))) == b"ok"


def test_what_a_body_means_is_not_the_clients_matter():
    page = b"<!doctype html><title>Log in</title>"
    assert (
        body(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)) == page
    )


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n<close>", "look at the port"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok<close>",
            "closed before the answer was complete, after 2 bytes",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok<reset>", "reset before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\n\r\nok<reset>", "reset before the answer was complete"),  # no length, and yet not whole
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1_000_000 + b"\r\n\r\n", "headers are longer than 65536"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", "headers are longer than 65536"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000, "headers are longer than 65536"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 50_000, "longer than 65536"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "protocols"),
        (b"<close>", "closed before the answer"),
    ],
    ids=lambda value: value[:60] if isinstance(value, bytes) else value,
)
def test_broken_answers_are_protocol_failures(answer, hint):
    assert failure(answer, hint=hint) == "protocol"


def test_body_longer_than_it_says_ends_where_it_says():
    assert body(OK + b"more") == b"ok"


def test_large_bodies_end_at_the_limit():
    assert failure(b"HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n", hint="raise source.max_bytes") == "too_large"
    assert failure([b"HTTP/1.1 200 OK\r\n\r\n"] + [b"x" * 4000] * 10) == "too_large"
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 20_000
    assert failure(endless, hint="larger than 10000 bytes") == "too_large"
    assert len(body(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b"x" * 10_000)) == 10_000


def test_silence_and_endless_trickle_are_timeouts():
    assert failure(None, hint="raise source.timeout") == "timeout"
    assert failure([OK[:20], OK[20:]], pause_s=0.5) == "timeout"
    trickle = [OK[n : n + 1] for n in range(len(OK))]
    assert failure(trickle, pause_s=0.1, hint="not complete after 0.8 s") == "timeout", "never silent, never done"


def test_status_that_is_not_expected_carries_retry_after():
    with serving(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n") as server:
        answer = get(server["url"])
    assert (answer.reason, answer.status, answer.retry_after_s) == ("bad_status", 503, 7.0)
    assert failure(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", hint="credentials") == "bad_status"


def test_where_nobody_listens():
    with serving(OK) as server:
        url = server["url"]
    assert get(url).reason == "refused"
    assert get("http://no-such-name.invalid/", limits=FetchLimits(5, 10, 100)).reason in {"dns", "timeout"}


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "file:///etc/passwd", "/only/a/path", "http://", "http://[::1", "http://h:99999/"]
)
def test_only_http_urls_are_fetched(url):
    assert get(url).reason == "protocol"


def test_redirects_are_followed_three_times():
    assert body(*[redirect("/next")] * 3, OK) == b"ok"
    assert failure(redirect("/again"), hint="more than 3 redirects") == "redirects"
    assert failure(redirect("ftp://127.0.0.1/")) == "protocol"
    assert failure(redirect("http://h:x/")) == "redirects"
    with serving(redirect("/again")) as server:
        assert get(server["url"]).reason == "redirects"
    assert len(server["requests"]) == 4, "a loop, or ten in a row, ends after the third"


def test_credentials_stay_with_their_origin():
    with serving(OK) as other, serving(redirect("/here"), redirect(f"{other['url']}/there")) as first:
        answer = get(first["url"], headers={"Authorization": "Bearer secret"})
    assert answer.body == b"ok"
    assert all("secret" in request for request in first["requests"]) and len(first["requests"]) == 2
    assert not any("secret" in request for request in other["requests"])


def test_credentials_do_not_come_back_with_a_redirect_to_their_origin():
    with serving(redirect("/"), OK) as first, serving(redirect(f"{first['url']}/back")) as other:
        first_answers = get(first["url"], headers={"X-Key": "secret"})
        assert first_answers.body == b"ok"
        assert get(other["url"], headers={"X-Key": "secret"}).body == b"ok"
    assert ["secret" in request for request in first["requests"]] == [True, True, False]


def test_user_and_password_of_a_url_do_not_travel():
    with serving(OK) as other:
        away = other["url"].replace("//", "//you:theirs@")
        with serving(redirect("/here"), redirect(away)) as first:
            own = first["url"].replace("//", "//me:p%40ss@")
            answer = get(own)
    assert answer.body == b"ok"
    assert all("authorization: Basic bWU6cEBzcw==" in request for request in first["requests"])
    assert "authorization" not in other["requests"][0] and "you" not in other["requests"][0]


def test_header_cannot_break_out_of_its_line():
    with serving(OK) as server:
        answer = get(server["url"], headers={"X-Key": "a\r\nX-Other: b"})
        assert answer.reason == "protocol"
        assert server["requests"] == []


def test_user_and_password_of_the_url_become_basic_authentication():
    with serving(OK) as server:
        assert get(server["url"].replace("//", "//me:p%40ss@")).body == b"ok"
    assert "authorization: Basic bWU6cEBzcw==" in server["requests"][0]
    assert "me:" not in server["requests"][0].split("authorization")[0]


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    with serving(OK) as proxy, serving(OK) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy["url"])
            monkeypatch.setenv(name.upper(), proxy["url"])
        monkeypatch.setenv("NO_PROXY", "")
        assert get(server["url"]).body == b"ok"
        assert get(server["url"].replace("http", "https")).reason in {"tls", "timeout"}
    assert proxy["connections"] == 0
    assert server["connections"] == 2


def test_connection_is_kept_and_replaced_when_the_server_closed_it():
    with serving(OK) as server:
        assert get(*[server["url"]] * 5).body == b"ok"
    assert server["connections"] == 1
    with serving(OK + b"<close>") as server:
        assert get(*[server["url"]] * 3, pause_s=0.05).body == b"ok"
    assert server["connections"] == 3


KNOWN = Validators(etag='W/"7"', last_modified="Sun, 01 Feb 2026 00:00:00 GMT")
TAGGED = OK.replace(b"\r\n", b'\r\nETag: W/"7"\r\nLast-Modified: Sun, 01 Feb 2026 00:00:00 GMT\r\n', 1)
NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nETag: W/"7"\r\nContent-Length: 999999\r\n\r\n'


def test_unchanged_answer_is_asked_for_by_what_the_last_one_said():
    with serving(TAGGED, NOT_MODIFIED, OK) as server:
        first = get(server["url"])
        assert Validators(first.etag, first.last_modified) == KNOWN
        assert "if-" not in server["requests"][0]
        second = get(server["url"], validators=KNOWN, expected=(200, 304))
        assert (second.status, second.body, second.etag) == (304, b"", 'W/"7"')
        assert get(server["url"], validators=Validators(etag='"8"')).body == b"ok"
    assert 'if-none-match: W/"7"\r\n' in server["requests"][1]
    assert "if-modified-since: Sun, 01 Feb 2026 00:00:00 GMT\r\n" in server["requests"][1]
    assert 'if-none-match: "8"\r\n' in server["requests"][2] and "since" not in server["requests"][2]
    assert failure(NOT_MODIFIED) == "bad_status", "nobody asked for it"


def test_validators_stay_with_their_origin():
    with serving(TAGGED) as other, serving(redirect("/here"), redirect(other["url"])) as first:
        answer = get(first["url"], validators=KNOWN)
    assert ["if-none-match" in request for request in (*first["requests"], *other["requests"])] == [True, True, False]
    assert (answer.etag, answer.last_modified) == ("", ""), "they are not those of the URL that is asked again"


def test_links_of_several_headers_are_joined_and_trailers_are_none():
    head = b"HTTP/1.1 200 OK\r\nLink: </2>; rel=next\r\nlink: </9>; rel=last\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(head + b"2\r\nok\r\n0\r\nLink: </x>; rel=next\r\nETag: x\r\n\r\n") as server:
        answer = get(server["url"])
    assert (answer.body, answer.link, answer.etag) == (b"ok", "</2>; rel=next, </9>; rel=last", "")
    with serving(OK.replace(b"\r\n", b"\r\nETag: " + b"x" * 2000 + b"\r\n", 1)) as server:
        assert get(server["url"]).etag == "", "too long to be worth keeping"
