"""Runs one request on one session and returns its answer as bytes. All functions run in a worker thread.

A long result in a format that may be cut anywhere is streamed, and holds its session until it is read or closed; all
other results are whole before the first byte is sent, so that an error shows in the status. The engine reads the data
of an INSERT from a spool, as one plain statement, because chDB's streaming insert answers "ok, n rows" also when
nothing was stored. The call returns after the parts are written (and synced, where the table says so), and raises if a
write failed.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import msgspec

from tidemill.store.engine.errors import SYNTAX_ERROR, EngineError, from_chdb, refusal
from tidemill.store.engine.request import BodyReader, EngineRequest, decode_body, read_piece, read_pieces
from tidemill.store.engine.sessions import EngineSession, SessionPool, SessionState, quote_string
from tidemill.store.engine.spool import Spool
from tidemill.store.engine.statement import Statement, first_word, is_insert, split_statement

# chDB encodes each block of a stream by itself: only formats without a head or foot can be put together again.
_STREAMED = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})
_FREES_DISK = frozenset({b"DROP", b"TRUNCATE"})  # statements that run also when the disk is full
_HEAD_BYTES = 1 << 20
_SLICE_BYTES = 256 << 10
_WHOLE_BYTES = 256 << 10  # a result up to this size is not streamed: an error shows before its status is sent


class StatementResult(msgspec.Struct):
    """The result of a statement. `size` is null while a result is streamed; `format` null when there is no result."""

    chunks: Iterator[bytes]
    size: int | None
    format: str | None
    summary: dict[str, str]
    close: Callable[[], None]


def execute_request(pool: SessionPool, request: EngineRequest, defaults: dict[str, str], tag: str) -> StatementResult:
    """Run a request. A comment with `tag` goes into the statement, for KILL QUERY to find. Raises EngineError."""
    statement, rest = _statement(request)
    pool.broken.check_statement(statement.text)
    settings = tuple(sorted((defaults | request.settings).items()))
    session = pool.acquire(SessionState(request.database, settings))
    held = False
    try:
        if statement.insert_format:
            pool.writes.require_room()
            with pool.generations.writing(statement.text, request.buckets):
                answer = _insert(session, request, statement, rest, tag)
            pool.writes.raise_if_failed()
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
            pool.release(session)


def statement_comment(tag: str, effect: str) -> bytes:
    """The SQL comment that marks a running statement: its tag, and whether it reads or writes (`effect`)."""
    return f"/*{effect}:{tag}*/".encode()


def _statement(request: EngineRequest) -> tuple[Statement, BodyReader]:
    """The statement, and the reader of what follows its inline data."""
    reader = decode_body(request.body, request.encoding)
    if is_insert(request.query):
        statement = split_statement(request.query)
        if statement.insert_format and not statement.data:
            return statement, reader
    head = read_piece(reader, _HEAD_BYTES)
    source = request.query + b"\n" + head if request.query and head else request.query or head
    if not source.strip():
        raise refusal(SYNTAX_ERROR, "SYNTAX_ERROR", "Empty query")
    if is_insert(source):
        statement = split_statement(source)
        if statement.insert_format:
            return statement, reader
    return split_statement(source + b"".join(read_pieces(reader))), reader


def _query(
    pool: SessionPool, session: EngineSession, request: EngineRequest, statement: Statement, tag: str
) -> StatementResult:
    name, count = session.classify(statement.text)
    if count > 1:
        raise refusal(SYNTAX_ERROR, "SYNTAX_ERROR", "Multi-statements are not allowed")
    session.reusable = name in {"READ_ONLY", "MUTATING", "UNKNOWN"}
    fmt = statement.output_format or request.default_format or "TabSeparated"
    # In front of an INSERT, whose end may be data; else behind, so that positions in error messages stay right.
    if is_insert(statement.text):
        sql = statement_comment(tag, "write") + statement.text
    else:
        sql = statement.text + b"\n" + statement_comment(tag, "read" if name == "READ_ONLY" else "write")
    if name == "READ_ONLY" and fmt in _STREAMED and not request.buffered:
        return _stream(session, sql, fmt, request.params)
    if name == "MUTATING" and first_word(statement.text) not in _FREES_DISK:
        pool.writes.require_room()
    if name == "READ_ONLY":
        result = session.run_statement(sql, fmt, request.params)
    else:
        with pool.generations.writing(statement.text, None):
            result = session.run_statement(sql, fmt, request.params)
        pool.writes.raise_if_failed()
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
    """Yields the blocks of a streaming query, as bytes. The session stays reusable only if the query ended."""
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
        sql = statement_comment(tag, "write") + _reading(statement, data.path)
        result = session.run_statement(sql, params=request.params)
    written, read = str(result.rows_written()), str(result.bytes_written())
    return StatementResult(iter(()), 0, None, _summary(result) | {"read_rows": written, "read_bytes": read}, _nothing)


def _reading(statement: Statement, path: str) -> bytes:
    """The INSERT with its data read from the file at `path`. chDB has no `input()`: `file()` reads the same columns."""
    file, fmt = quote_string(path).encode(), str(statement.insert_format).encode()
    if statement.input_span is None:
        return b"%b\nFROM INFILE %b\n%b\nFORMAT %b" % (statement.text, file, statement.settings, fmt)
    begin, end = statement.input_span
    return b"%bfile(%b, '%b', %b" % (statement.text[:begin], file, fmt, statement.text[end:])


def _data(request: EngineRequest, statement: Statement, rest: BodyReader) -> Spool:
    """The data of an INSERT: the body itself if it holds only data, else a decompressed copy. The caller closes it."""
    if rest is request.body and statement.data == b"":
        return request.body
    data = Spool(request.body.folder)
    try:
        data.write(statement.data)
        for piece in read_pieces(rest):
            data.write(piece)
    except BaseException:
        data.close()
        raise
    return data


def _slices(result: Any) -> Iterator[bytes]:
    """Yields a whole result in slices, so that only one slice is held twice."""
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
        pool.release(session)

    return release


def _nothing() -> None:
    """Close a whole answer, which holds no session."""
