"""Runs one request on one session and hands its answer over as bytes. All of it runs in a worker thread.

A long result that its format allows to be cut anywhere is streamed, holding its session until it is read or closed;
all others are whole before the first byte is sent, so that their errors are clean. The engine reads the data of an
INSERT from a spool, as one plain statement: its streaming insert answers "ok, n rows" also when nothing was stored.
The call returns after the parts are written (and synced, where the table says so), and no write has failed.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import msgspec

from tidemill.store.engine.errors import SYNTAX_ERROR, EngineError, from_chdb, refusal
from tidemill.store.engine.request import BodyReader, EngineRequest, decoded, pieces, read_piece
from tidemill.store.engine.sessions import EngineSession, SessionPool, SessionState, quoted
from tidemill.store.engine.spool import Spool
from tidemill.store.engine.statement import Statement, first_word, is_insert, split

# chDB encodes each block of a stream by itself: only formats without a head or foot can be put together again.
_STREAMED = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})
_GIVES_BACK = frozenset({b"DROP", b"TRUNCATE"})  # statements that a full disk waits for
_HEAD_BYTES = 1 << 20
_SLICE_BYTES = 256 << 10
_WHOLE_BYTES = 256 << 10  # a result up to here is not streamed: it fails before its status is sent, if it does


class StatementResult(msgspec.Struct):
    """What a statement gave. `size` is null while a result is streamed; `format` null when there is no result."""

    chunks: Iterator[bytes]
    size: int | None
    format: str | None
    summary: dict[str, str]
    close: Callable[[], None]


def execute(pool: SessionPool, request: EngineRequest, defaults: dict[str, str], tag: str) -> StatementResult:
    """Run a request. A comment with `tag` goes into the statement, for KILL QUERY to find. Raises EngineError."""
    statement, rest = _statement(request)
    pool.broken.check(statement.text)
    settings = tuple(sorted((defaults | request.settings).items()))
    session = pool.take(SessionState(request.database, settings))
    held = False
    try:
        if statement.insert_format:
            pool.writes.need_room()
            answer = _insert(session, request, statement, rest, tag)
            pool.writes.check()
            return answer
        answer = _query(pool, session, request, statement, tag)
        held = answer.size is None
        if held:
            answer.close = _releasing(pool, session, answer.close)
        return answer
    except BaseException:
        session.reusable = False
        raise
    finally:
        if not held:
            pool.give_back(session)


def comment(tag: str, effect: str) -> bytes:
    """What marks a running statement: its tag and whether it reads or writes."""
    return f"/*{effect}:{tag}*/".encode()


def _statement(request: EngineRequest) -> tuple[Statement, BodyReader]:
    """The statement, and the reader of what follows its inline data."""
    reader = decoded(request.body, request.encoding)
    if is_insert(request.query):
        statement = split(request.query)
        if statement.insert_format and not statement.data:
            return statement, reader
    head = read_piece(reader, _HEAD_BYTES)
    source = request.query + b"\n" + head if request.query and head else request.query or head
    if not source.strip():
        raise refusal(SYNTAX_ERROR, "SYNTAX_ERROR", "Empty query")
    if is_insert(source):
        statement = split(source)
        if statement.insert_format:
            return statement, reader
    return split(source + b"".join(pieces(reader))), reader


def _query(
    pool: SessionPool, session: EngineSession, request: EngineRequest, statement: Statement, tag: str
) -> StatementResult:
    name, count = session.classify(statement.text)
    if count > 1:
        raise refusal(SYNTAX_ERROR, "SYNTAX_ERROR", "Multi-statements are not allowed")
    session.reusable = name in {"READ_ONLY", "MUTATING", "UNKNOWN"}
    fmt = statement.output_format or request.default_format or "TabSeparated"
    # In front of an INSERT, where the end may be data; else behind, where it leaves positions in errors alone.
    if is_insert(statement.text):
        sql = comment(tag, "write") + statement.text
    else:
        sql = statement.text + b"\n" + comment(tag, "read" if name == "READ_ONLY" else "write")
    if name == "READ_ONLY" and fmt in _STREAMED and not request.buffered:
        return _stream(session, sql, fmt, request.params)
    if name == "MUTATING" and first_word(statement.text) not in _GIVES_BACK:
        pool.writes.need_room()
    result = session.run(sql, fmt, request.params)
    if name != "READ_ONLY":
        pool.writes.check()
    if count == 0:  # nothing but comments, or bytes that the engine skips
        raise refusal(SYNTAX_ERROR, "SYNTAX_ERROR", "Empty query")
    has_result = name == "READ_ONLY" or (name == "CONTROL" and result.size() > 0)
    return StatementResult(_slices(result), result.size(), fmt if has_result else None, _summary(result), _nothing)


def _stream(session: EngineSession, sql: bytes, fmt: str, params: dict[str, str]) -> StatementResult:
    connection = session.chdb
    try:
        stream = connection.send_query(sql, fmt, params=params)
    except Exception as error:
        raise from_chdb(error) from None

    def cancel() -> None:
        with suppress(RuntimeError):
            connection.streaming_cancel_query(stream)

    chunks = _blocks(session, stream)
    head, size = [], 0
    try:
        while size < _WHOLE_BYTES and (block := next(chunks, b"")):
            head.append(block)
            size += len(block)
    except EngineError:
        cancel()
        raise
    summary = {"read_rows": "0", "read_bytes": "0"}
    if size < _WHOLE_BYTES:
        cancel()
        return StatementResult(iter(head), size, fmt, summary, _nothing)
    return StatementResult(chain(head, chunks), None, fmt, summary, cancel)


def _blocks(session: EngineSession, stream: Any) -> Iterator[bytes]:
    """The blocks of a streaming query, as bytes. The session may be used again only if it came to its end."""
    reusable, session.reusable = session.reusable, False
    try:
        while (block := session.chdb.streaming_fetch_result(stream)) is not None and block.rows_read() > 0:
            yield block.bytes()
    except Exception as error:
        raise from_chdb(error) from None
    session.reusable = reusable


def _insert(
    session: EngineSession, request: EngineRequest, statement: Statement, rest: BodyReader, tag: str
) -> StatementResult:
    with _data(request, statement, rest) as data:
        sql = comment(tag, "write") + _reading(statement, data.path)
        result = session.run(sql, params=request.params)
    written, read = str(result.rows_written()), str(result.bytes_written())
    return StatementResult(iter(()), 0, None, _summary(result) | {"read_rows": written, "read_bytes": read}, _nothing)


def _reading(statement: Statement, path: str) -> bytes:
    """The INSERT with its data read from the file at `path`. chDB has no `input()`: `file()` reads the same columns."""
    file, fmt = quoted(path).encode(), str(statement.insert_format).encode()
    if statement.input_span is None:
        return b"%b\nFROM INFILE %b\n%b\nFORMAT %b" % (statement.text, file, statement.settings, fmt)
    begin, end = statement.input_span
    return b"%bfile(%b, '%b', %b" % (statement.text[:begin], file, fmt, statement.text[end:])


def _data(request: EngineRequest, statement: Statement, rest: BodyReader) -> Spool:
    """The data of an INSERT: the body itself where that is nothing else, else a copy, decompressed. Close it."""
    if rest is request.body and statement.data == b"":
        return request.body
    data = Spool(request.body.folder)
    try:
        data.write(statement.data)
        for piece in pieces(rest):
            data.write(piece)
    except BaseException:
        data.close()
        raise
    return data


def _slices(result: Any) -> Iterator[bytes]:
    """A whole result in slices, so that only one slice is held twice."""
    if result.size() == 0:
        return
    view = result.get_memview().view()
    for start in range(0, result.size(), _SLICE_BYTES):
        yield bytes(view[start : start + _SLICE_BYTES])


def _summary(result: Any) -> dict[str, str]:
    return {
        "read_rows": str(result.storage_rows_read()),
        "read_bytes": str(result.storage_bytes_read()),
        "written_rows": str(result.rows_written()),
        "written_bytes": str(result.bytes_written()),
        "result_rows": str(result.rows_read()),
        "result_bytes": str(result.size()),
        "elapsed_ns": str(int(result.elapsed() * 1e9)),
    }


def _releasing(pool: SessionPool, session: EngineSession, close: Callable[[], None]) -> Callable[[], None]:
    def release() -> None:
        close()
        pool.give_back(session)

    return release


def _nothing() -> None:
    """A whole answer holds nothing."""
