"""Finds in a request's bytes what the engine must know before it runs them: where the data of an INSERT begins
and which format a result asks for. It leaves parsing and every judgement about the SQL to chDB.
"""

import re

import msgspec

# What is not closed goes on to the end, so that every byte is looked at once.
_TOKEN = re.compile(
    rb"""(?P<skip> \s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?(?:\*/|\Z) )
       | (?P<quoted> '(?:[^'\\]|\\.)*+(?:'|\\?\Z) | "(?:[^"\\]|\\.)*+(?:"|\\?\Z) | `(?:[^`\\]|\\.)*+(?:`|\\?\Z) )
       | (?P<word> [A-Za-z_][A-Za-z0-9_]* )
       | (?P<open> [(\[{] )
       | (?P<close> [)\]}] )
       | (?P<other> . )""",
    re.VERBOSE | re.DOTALL,
)
_FORMAT_NAME = re.compile(rb"\s+([A-Za-z][A-Za-z0-9_]*)")
_DATA_GAP = re.compile(rb"[ \t\f]*;?[ \t\f]*(?:\r?\n)?")
_OUTPUT_FORMAT = re.compile(rb"\bFORMAT\s+([A-Za-z]\w*)\s*(?:\bSETTINGS\b[^'\"]*)?;?\s*\Z", re.IGNORECASE)
_TAIL_BYTES = 4096
_NOT_DATA = frozenset({b"VALUES", b"SELECT", b"WITH", b"INFILE", b"EXPLAIN"})


class Statement(msgspec.Struct, frozen=True):
    """One statement. With `insert_format`, `text` is the INSERT up to its FORMAT clause and `data` what follows it;
    without, `text` is the whole statement and `output_format` the format it asks for, if it does."""

    text: bytes
    output_format: str | None = None
    insert_format: str | None = None
    data: bytes = b""


def split(source: bytes) -> Statement:
    """Split a statement from the data behind its `FORMAT` clause. Never raises: bad SQL is for the engine."""
    insert = _insert_with_data(source)
    if insert is not None:
        return insert
    match = _OUTPUT_FORMAT.search(source[-_TAIL_BYTES:])
    return Statement(source, output_format=match.group(1).decode() if match else None)


def is_insert(source: bytes) -> bool:
    """Whether the first word is INSERT."""
    return _first_word(source) == b"INSERT"


def _first_word(source: bytes) -> bytes:
    for token in _TOKEN.finditer(source):
        if token.lastgroup == "word":
            return token.group().upper()
        if token.lastgroup != "skip":
            break
    return b""


def _insert_with_data(source: bytes) -> Statement | None:
    if not is_insert(source):
        return None
    depth, previous = 0, b""
    for token in _TOKEN.finditer(source):
        kind = token.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "word" and depth == 0:
            word = token.group().upper()
            if word in _NOT_DATA and previous not in {b"INTO", b"TABLE"}:
                return None
            name = _FORMAT_NAME.match(source, token.end()) if word == b"FORMAT" else None
            if name and previous not in {b"INTO", b"TABLE"}:
                return _cut(source, token.start(), name)
        if kind != "skip":
            previous = token.group().upper() if kind == "word" else b""
    return None


def _cut(source: bytes, end_of_text: int, name: re.Match[bytes]) -> Statement:
    gap = _DATA_GAP.match(source, name.end())
    data_from = gap.end() if gap else name.end()
    return Statement(source[:end_of_text], insert_format=name.group(1).decode(), data=source[data_from:])
