"""The routes that clients of InfluxDB write to: `/write` (1.x), `/api/v2/write` and `/api/v3/write_lp`, with the
parameters, keys and errors that these clients know. A database or bucket is an open feed; a tenant is that of the key.

Unlike InfluxDB 2, and like 1 and 3, a body with a line at fault has its other lines stored, and the answer says so.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from tidemill.api import problems
from tidemill.api.auth import Authenticator
from tidemill.api.body import ClientGoneError, Incoming
from tidemill.api.front import Route
from tidemill.api.open_intake import OpenAccepted, OpenIntake
from tidemill.api.points_routes import query_values
from tidemill.api.problems import Header, HttpAnswer, RefusedError
from tidemill.decode.open.options import OpenOptions
from tidemill.errors import AccessError, Fault, InputError

Dialect = Literal["v1", "v2", "v3"]
FORMAT: Final = "line_protocol"
_PRECISIONS: Final[Mapping[Dialect, Mapping[str, str]]] = {
    "v1": {"": "ns", "n": "ns", "ns": "ns", "u": "us", "us": "us", "µ": "us", "ms": "ms", "s": "s", "m": "m", "h": "h"},
    "v2": {"": "ns", "ns": "ns", "us": "us", "ms": "ms", "s": "s"},
    "v3": {
        "": "auto", "auto": "auto", "nanosecond": "ns", "microsecond": "us", "millisecond": "ms", "second": "s",
        "ns": "ns", "us": "us", "ms": "ms", "s": "s", "n": "ns", "u": "us",
    },
}  # fmt: skip
_CODES: Final = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    409: "conflict",
    413: "request too large",
    422: "unprocessable entity",
    429: "too many requests",
    503: "unavailable",
    507: "unavailable",
}
_DEFAULT_POLICIES: Final = ("", "autogen", "default")
_SHOWN: Final = 1024  # bytes of a line at fault in an answer


class InfluxRoutes:
    """Handlers of writes of InfluxDB's clients."""

    def __init__(self, intake: OpenIntake, authenticator: Authenticator) -> None:
        self._intake, self._authenticator = intake, authenticator

    def routes(self) -> list[Route]:
        """The routes, for `Routes`."""
        return [
            Route("POST", "/write", self.post_v1),
            Route("POST", "/api/v2/write", self.post_v2),
            Route("POST", "/api/v3/write_lp", self.post_v3),
        ]

    async def post_v1(self, incoming: Incoming) -> HttpAnswer:
        """A write of InfluxDB 1: `204` when it is durable."""
        return await self._answered(incoming, "v1")

    async def post_v2(self, incoming: Incoming) -> HttpAnswer:
        """A write of InfluxDB 2: `204` when it is durable."""
        return await self._answered(incoming, "v2")

    async def post_v3(self, incoming: Incoming) -> HttpAnswer:
        """A write of InfluxDB 3: `204` when it is durable."""
        return await self._answered(incoming, "v3")

    async def _answered(self, incoming: Incoming, dialect: Dialect) -> HttpAnswer:
        try:
            return await self._write(incoming, dialect)
        except ClientGoneError:
            raise
        except Exception as error:
            answer = problems.problem_answer(error)
            kept = [pair for pair in answer.headers if pair[0] in (b"retry-after", b"www-authenticate")]
            if isinstance(error, RefusedError):
                kept.append((b"x-tidemill-receipt", error.receipt.encode()))
            return _error(dialect, answer.status, msgspec.json.decode(answer.body)["detail"], kept)

    async def _write(self, incoming: Incoming, dialect: Dialect) -> HttpAnswer:
        given = query_values(incoming)
        headers = with_key(incoming.headers, given)
        principal = self._authenticator.authorize(headers, "write", incoming.address)
        feed = _feed_of(given, dialect)
        precision = _precision(given.get("precision", ""), dialect)
        whole = dialect == "v3" and given.get("accept_partial", "true").lower() == "false"
        taken = await self._intake.accept(
            incoming, principal, feed, FORMAT, OpenOptions(precision=precision), whole=whole
        )
        receipt = [(b"x-tidemill-receipt", taken.accepted.appended.receipt.encode())]
        if taken.check.rejected:
            return _partial(dialect, taken, receipt)
        return HttpAnswer(204, [*receipt, *VERSION], b"")


VERSION: Final[list[Header]] = [(b"x-influxdb-build", b"Tidemill"), (b"x-influxdb-version", b"2.7.0-tidemill")]


def with_key(headers: dict[bytes, bytes], given: Mapping[str, str]) -> dict[bytes, bytes]:
    """The headers with the key of `Authorization: Token KEY`, of Basic (its password), or of the parameter `p`, as
    X-API-Key; as they are where the key is given as elsewhere, or not at all. Raises AccessError for Basic without a
    password."""
    if b"x-api-key" in headers:
        return headers
    scheme, _, rest = headers.get(b"authorization", b"").strip().partition(b" ")
    key = b""
    if scheme.lower() == b"token":
        key = rest.strip()
    elif scheme.lower() == b"basic":
        try:
            key = base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            key = b"?"  # no key: refused as an unknown one
        if not key:
            raise AccessError("The password of Basic is empty. Send the key as the password; any user name will do.")
    elif not scheme:
        key = given.get("p", "").encode("latin-1", "replace")
    if not key:
        return headers
    return {**headers, b"x-api-key": key}


def _feed_of(given: Mapping[str, str], dialect: Dialect) -> str:
    """The feed of a database with its retention policy, or of a bucket. Raises InputError."""
    name = "bucket" if dialect == "v2" else "db"
    database = given.get(name, "")
    if not database:
        message = f"the parameter {name} is missing; it names the feed"
        raise InputError(f"{message}.", (Fault(f"$query.{name}", "missing", message),))
    policy = given.get("rp", "") if dialect == "v1" else ""
    if dialect == "v2" and "/" in database:  # a bucket of InfluxDB 1.8 is database/policy
        database, _, policy = database.partition("/")
    return database if policy in _DEFAULT_POLICIES else f"{database}-{policy}"


def _precision(given: str, dialect: Dialect) -> str:
    known = _PRECISIONS[dialect]
    if given not in known:
        message = f"invalid precision '{given[:20]}'; known are {', '.join(filter(None, known))}"
        raise InputError(f"{message}.", (Fault("$query.precision", "invalid_value", message),))
    return known[given]


def _partial(dialect: Dialect, taken: OpenAccepted, headers: list[Header]) -> HttpAnswer:
    """The answer to a body with lines at fault, whose other lines are stored."""
    check, lines = taken.check, taken.accepted.payload.body.split(b"\n")
    shown = [(index, _line(lines, index), fault.message) for index, fault in check.faults]
    if dialect == "v3":
        data = [{"original_line": line, "line_number": index + 1, "error_message": why} for index, line, why in shown]
        answer = {"error": "partial write of line protocol occurred", "data": data}
        return _json(400, answer, [*headers, *VERSION])
    sentences = [f"unable to parse '{line}': {why} (line {index + 1})" for index, line, why in shown[:10]]
    message = f"partial write: {'; '.join(sentences)} dropped={check.rejected}"
    return _error(dialect, 400, message, headers)


def _line(lines: list[bytes], index: int) -> str:
    line = lines[index] if index < len(lines) else b""
    text = line[:_SHOWN].decode("utf-8", "replace")
    return text if len(line) <= _SHOWN else text + "…"


def _error(dialect: Dialect, status: int, message: str, headers: list[Header]) -> HttpAnswer:
    if dialect == "v2":
        answer = {"code": _CODES.get(status, "internal error"), "message": message}
    else:
        answer = {"error": message}
    clean = message.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ")[:_SHOWN]
    shown = bytes(byte if 32 <= byte < 127 else 63 for byte in clean)
    return _json(status, answer, [*headers, (b"x-influxdb-error", shown), *VERSION])


def _json(status: int, answer: Mapping[str, object], headers: list[Header]) -> HttpAnswer:
    body = msgspec.json.encode(answer)
    basic = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return HttpAnswer(status, [*basic, *headers], body)
