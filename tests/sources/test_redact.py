"""No spelling of a secret is left in a text."""

from urllib.parse import quote, quote_plus

from tidemill.sources.redact import Redaction

SECRET = "s3cr&t/token=with+space and é"
HIDE = Redaction((SECRET, "ab", "short")).hide


def test_every_spelling_of_a_secret_is_hidden():
    for spelling in (SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET)):
        assert HIDE(f"asked http://x/?key={spelling}&more") == "asked http://x/?key=***&more"
    assert HIDE(f"twice {SECRET}{SECRET} short") == "twice ****** ***"


def test_the_beginning_of_a_secret_is_hidden_where_a_message_was_cut():
    assert HIDE(f"'{SECRET[:12]}' is not a URL") == "'***' is not a URL"


def test_what_is_no_secret_stays():
    assert HIDE("a table of abbreviations") == "a table of abbreviations"
    assert HIDE("") == ""
    assert Redaction().hide("all of it") == "all of it"


def test_a_packed_text_has_no_secret_and_is_unpacked_to_the_same_url():
    redaction = Redaction(("first-secret", "second&secret"))
    packed = redaction.replace_secrets("http://x/?a=first-secret&b=second%26secret")
    assert packed == "http://x/?a=${0}&b=${1}"
    assert redaction.restore_secrets(packed) == "http://x/?a=first-secret&b=second%26secret"
