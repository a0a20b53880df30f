"""Splits a statement from its data before the engine runs it: finds where the data of an INSERT begins, where its
SELECT reads that data (`input(...)`), and which output format the statement names. chDB parses and judges the SQL.
"""

import re

import msgspec

# An unclosed comment or quotation goes on to the end, so that every byte is read once.
_TOKEN = re.compile(
    rb"""(?P<skip> \s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?(?:\*/|\Z) )
       | (?P<quoted> '(?:[^'\\]|\\.)*+(?:'|\\?\Z) | "(?:[^"\\]|\\.)*+(?:"|\\?\Z) | `(?:[^`\\]|\\.)*+(?:`|\\?\Z) )
       | (?P<word> [A-Za-z_][A-Za-z0-9_]* )
       | (?P<open> [(\[{] )
       | (?P<close> [)\]}] )
       | (?P<other> . )""",
    re.VERBOSE | re.DOTALL,
)
_INPUT = re.compile(rb"\binput\s*\(", re.IGNORECASE)
_FORMAT_NAME = re.compile(rb"\s+([A-Za-z][A-Za-z0-9_]*)")
_DATA_GAP = re.compile(rb"[ \t\f]*;?[ \t\f]*(?:\r?\n)?")
_OUTPUT_FORMAT = re.compile(rb"\bFORMAT\s+([A-Za-z]\w*)\s*(?:\bSETTINGS\b[^'\"]*)?;?\s*\Z", re.IGNORECASE)
_TAIL_BYTES = 4096
_SELECTS = frozenset({b"SELECT", b"WITH"})
_NOT_DATA = frozenset({b"VALUES", b"INFILE", b"EXPLAIN"})
_BEFORE_NAME = frozenset({b"INTO", b"TABLE", b"."})  # what follows is a name, whatever it is


class Statement(msgspec.Struct, frozen=True):
    """One statement. With `insert_format`, `text` is the INSERT up to its SETTINGS or FORMAT clause, `settings` is the
    SETTINGS clause, and `data` follows the FORMAT clause. Without, `text` is the whole statement, and `output_format`
    the format that it names, if it names one. `input_span`: the span of `input(` in the `text` of an INSERT ... SELECT
    that reads its data by it; then `text` goes up to FORMAT."""

    text: bytes
    output_format: str | None = None
    insert_format: str | None = None
    settings: bytes = b""
    data: bytes = b""
    input_span: tuple[int, int] | None = None


def split_statement(source: bytes) -> Statement:
    """Split a statement from the data behind its `FORMAT` clause. Never raises: the engine refuses bad SQL."""
    insert = _insert_with_data(source)
    if insert is not None:
        return insert
    match = _OUTPUT_FORMAT.search(source[-_TAIL_BYTES:])
    return Statement(source, output_format=match.group(1).decode() if match else None)


def is_insert(source: bytes) -> bool:
    """Whether the first word is INSERT."""
    return first_word(source) == b"INSERT"


def first_word(source: bytes) -> bytes:
    """The first word of a statement, in capitals; b"" if it does not begin with a word."""
    for token in _TOKEN.finditer(source):
        if token.lastgroup == "word":
            return token.group().upper()
        if token.lastgroup != "skip":
            break
    return b""


def _insert_with_data(source: bytes) -> Statement | None:
    if not is_insert(source):
        return None
    depth, previous, settings_from = 0, b"", 0
    selects, input_span = False, None
    for token in _TOKEN.finditer(source):
        kind = token.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "word" and selects and (opening := _INPUT.match(source, token.start())):
            input_span = input_span or opening.span()
        elif kind == "word" and depth == 0 and previous not in _BEFORE_NAME:
            word = token.group().upper()
            if word in _NOT_DATA or (word in _SELECTS and not _INPUT.search(source, token.end())):
                return None
            selects = selects or word in _SELECTS
            if word == b"SETTINGS" and not selects:
                settings_from = token.start()
            name = _FORMAT_NAME.match(source, token.end()) if word == b"FORMAT" else None
            if name and selects:
                return _cut(source, token.start(), token.start(), name, input_span) if input_span else None
            if name:
                return _cut(source, settings_from or token.start(), token.start(), name)
        if kind != "skip":
            previous = token.group().upper() if kind in {"word", "other"} else b""
    return None


def _cut(
    source: bytes,
    end_of_text: int,
    end_of_settings: int,
    name: re.Match[bytes],
    input_span: tuple[int, int] | None = None,
) -> Statement:
    gap = _DATA_GAP.match(source, name.end())
    data_from = gap.end() if gap else name.end()
    return Statement(
        source[:end_of_text],
        insert_format=name.group(1).decode(),
        settings=source[end_of_text:end_of_settings],
        data=source[data_from:],
        input_span=input_span,
    )
