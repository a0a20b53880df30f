"""The OpenAPI operations of the routes that the front layer answers itself (Litestar describes all others)."""

from typing import Any, Final

_ANY: Final = {"schema": {"description": "Looked through: it is JSON or NDJSON, whatever curl said."}}

PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N`: answer `200` with the applied outcome if it is known within N seconds.",
    "schema": {"type": "string", "examples": ["wait=2"]},
}
KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body within 7 days is the same receipt; the same key with another body is `409`.",
    "schema": {"type": "string", "maxLength": 255},
}
ENCODING: Final = {
    "name": "Content-Encoding",
    "in": "header",
    "description": "The content coding of the body: gzip or zstd, whole streams. It is undone first: what is "
    "checked, hashed and kept is the unpacked body. A body whose coding cannot be undone is kept packed and refused "
    "(`invalid_encoding`). `x-gzip` is gzip; none, an empty one and identity are the same.",
    "schema": {"type": "string", "enum": ["gzip", "x-gzip", "zstd", "identity", ""]},
}
FEED: Final = {
    "name": "feed",
    "in": "path",
    "required": True,
    "description": "The feed's name; `GET /v1/feeds` lists them.",
    "schema": {"type": "string", "examples": ["dropzone"]},
}
SERIES_ID: Final = {
    "name": "series",
    "in": "path",
    "required": True,
    "description": "A series' id.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
DRY_RUN: Final = {
    "name": "dry_run",
    "in": "query",
    "description": "`true`: only say how much would be deleted.",
    "schema": {"type": "boolean", "default": False},
}


def _body(schema: dict[str, Any], *, lines: bool = True) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if lines:
        content["application/x-ndjson"] = {"schema": {"type": "string", "description": "One record a line."}}
    for vague in ("application/x-www-form-urlencoded", "text/plain", "application/octet-stream"):
        content[vague] = _ANY
    return {"required": True, "content": content}


def _answer(schema: str, description: str, *headers: str) -> dict[str, Any]:
    known = {
        "Location": "Where the receipt, or the series, is.",
        "Preference-Applied": "The wait that was kept to.",
        "Idempotency-Replayed": "`true`: an earlier request had this key and body; this is its receipt.",
    }
    answer: dict[str, Any] = {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }
    if headers:
        answer["headers"] = {name: {"description": known[name], "schema": {"type": "string"}} for name in headers}
    return answer


_RECEIPT_HEADERS: Final = ("Location", "Preference-Applied", "Idempotency-Replayed")
_OUTCOME: Final = _answer("Receipt", "Applied: the outcome, because `Prefer: wait` asked for it.", *_RECEIPT_HEADERS)
_STORED: Final = _answer("Receipt", "Durable: the receipt.", "Location", "Idempotency-Replayed")
_PROBLEMS: Final = (400, 404, 408, 409, 410, 413, 415, 503, 507)

# path -> method -> operation. `problems` lists the statuses of problem documents; `openapi.py` describes them.
OPERATIONS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "/location": {
        "put": {
            "tags": ["intake"],
            "operationId": "putLocation",
            "summary": "Send one fix of a phone",
            "description": "The feed `location`. `200` means durable; `400` names every fault of the fix.",
            "parameters": [PREFER, KEY, ENCODING],
            "requestBody": _body({"$ref": "#/components/schemas/Fix"}),
            "responses": {"200": _answer("Receipt", "Durable (with `Prefer: wait=N`: applied).", *_RECEIPT_HEADERS)},
            "problems": _PROBLEMS,
        }
    },
    "/v1/feeds/{feed}": {
        "post": {
            "tags": ["intake"],
            "operationId": "postPayload",
            "summary": "Send a payload of a feed",
            "description": "The bytes of the body, its content coding undone, are kept exactly as they came before the "
            "answer is sent. JSON or NDJSON, by content type or by a look at the body.",
            "parameters": [FEED, PREFER, KEY, ENCODING],
            "requestBody": _body({"description": "What the feed's definition says."}),
            "responses": {"200": _OUTCOME, "202": _STORED},
            "problems": _PROBLEMS,
        }
    },
    "/v1/series": {
        "post": {
            "tags": ["series"],
            "operationId": "postSeries",
            "summary": "Store a raw series",
            "description": "The feed `signals`: evenly sampled (`start` and `interval` or `sample_rate_hz`) or with "
            "`times`. Times are ISO 8601 texts, or numbers since the epoch: then `time_unit` says their unit, and is "
            'needed, as in `{"time_unit": "s", "times": [1767225600, 1767225660], "values": [5.1, 5.3]}`. '
            "Up to 1,000,000 samples. `201` when it can be read at once, else `202`; the id is the same.",
            "parameters": [PREFER, KEY, ENCODING],
            "requestBody": _body({"$ref": "#/components/schemas/NewSeries"}, lines=False),
            "responses": {
                "201": _answer("CreatedSeries", "Stored and readable.", "Location", "Idempotency-Replayed"),
                "202": _answer("CreatedSeries", "Durable; readable soon.", "Location", "Idempotency-Replayed"),
            },
            "problems": _PROBLEMS,
        }
    },
    "/v1/series/{series}": {
        "delete": {
            "tags": ["series"],
            "operationId": "deleteSeries",
            "summary": "Delete a series",
            "description": "Gone from every answer at once. Sending it again afterwards works. A series that was sent "
            "whole (feeds of shape `samples`, such as `signals`) needs the scope `write` and is answered 204. One "
            "whose points come from records needs `admin` and is answered with the deletion receipt; `409` where "
            "records cannot do without it (a row of statistics; several fields of which the first submitted counts).",
            "parameters": [SERIES_ID, DRY_RUN],
            "responses": {
                "200": _answer("DeletionItem", "Of records: applied. Or a dry run."),
                "202": _answer("DeletionItem", "Of records: durable, applied soon."),
                "204": {
                    "description": "Gone.",
                    "headers": {
                        "Location": {
                            "schema": {"type": "string"},
                            "description": "The deletion receipt, for administrators.",
                        }
                    },
                },
            },
            "problems": (400, 404, 409, 503, 507),
        }
    },
}


def _query(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": description,
        "schema": {"type": "string", **schema},
    }


_LINES: Final = {
    "required": True,
    "content": {
        "text/plain": {"schema": {"type": "string", "examples": ["cpu,host=a usage=1.5 1700000000000000000"]}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}
_PRECISION: Final = "The unit of times that are numbers."
_TOKEN: Final = (
    "The key as `Authorization: Token KEY`, as `Bearer KEY`, as the password of Basic, or as the parameter `p`."
)


_INFLUX_PROBLEMS: Final = {
    400: "Lines are at fault, or the request is.",
    401: "The key is missing or unknown.",
    403: "The key may not write.",
    409: "The feed is no open feed, or the Idempotency-Key had another body.",
    410: "The feed was removed.",
    413: "The body is over a limit.",
    415: "The content encoding is not taken.",
    422: "It would make too many series.",
    429: "Too many wrong keys came from this address.",
    503: "Nothing can be acknowledged now.",
    507: "Too little free disk.",
}


def _influx_write(version: str, where: dict[str, Any], precisions: tuple[str, ...], more: list[Any]) -> dict[str, Any]:
    """The operation of a write of a version of InfluxDB."""
    error = {"schema": {"$ref": "#/components/schemas/InfluxError"}}
    return {
        "tags": ["intake"],
        "operationId": f"writeInflux{version}",
        "summary": f"Write line protocol, as InfluxDB {version} takes it",
        "description": f"The body is line protocol. {_TOKEN} A database or bucket is the open feed of its name; the "
        "tenant is that of the key. `204` means durable; `400` with `partial write` means that the lines without fault "
        "are stored.",
        "parameters": [where, _query("precision", _PRECISION, enum=list(precisions)), *more, ENCODING],
        "requestBody": _LINES,
        "responses": {
            "204": {"description": "Durable; `X-Tidemill-Receipt` is the receipt."},
            **{
                str(status): {"description": text, "content": {"application/json": error}}
                for status, text in _INFLUX_PROBLEMS.items()
            },
        },
        "problems": (408, *_INFLUX_PROBLEMS),  # 408 comes before a version is known
    }


def _open_body() -> dict[str, Any]:
    texts = ("text/x-influx-line-protocol", "text/csv", "application/x-ndjson")
    files = ("application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")
    content: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in texts}
    content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in files}
    content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    content["text/plain"] = {"schema": {"description": "Looked at: JSON, Arrow, Parquet, else line protocol."}}
    return {"required": True, "content": content}


OPERATIONS["/v1/points"] = {
    "post": {
        "tags": ["intake"],
        "operationId": "postPoints",
        "summary": "Send records that bring their names, tags and fields",
        "description": "To an open feed, which is made if there is none of its name. Line protocol, NDJSON, CSV, an "
        "Arrow IPC stream or Parquet, by content type or by a look at the body, up to 64 MiB. Records at fault are "
        "rejected with their reasons; the others are stored.",
        "parameters": [
            _query("feed", "The open feed.", default="points"),
            _query("precision", _PRECISION, enum=["ns", "us", "ms", "s", "m", "h"], default="ns"),
            _query("name", "The name of records that bring none."),
            _query("time", "CSV, Arrow, Parquet: the column of times; empty: the time of receipt.", default="time"),
            _query("tags", "CSV, Arrow, Parquet: the columns of tags, with commas between them."),
            _query("separator", "CSV: what is between columns: `,`, `;`, a tab or `|`.", maxLength=1, default=","),
            _query("decimal", "CSV: what is before the decimals: `.` or `,`.", maxLength=1, default="."),
            PREFER,
            KEY,
            ENCODING,
        ],
        "requestBody": _open_body(),
        "responses": {
            "200": _answer("PointsOutcome", "Applied: the outcome, with the first 100 faults.", *_RECEIPT_HEADERS),
            "202": _answer("PointsOutcome", "Durable: the receipt.", "Location", "Idempotency-Replayed"),
        },
        "problems": (*sorted({*_PROBLEMS} - {404}), 422),
    }
}
OPERATIONS["/api/v1/write"] = {
    "post": {
        "tags": ["intake"],
        "operationId": "writePrometheus",
        "summary": "Take Prometheus' remote write, 1.0 or 2.0",
        "description": "A write request in protobuf, packed with snappy. `204` means durable. Samples at fault are in "
        "the ledger; exemplars, histograms and metadata are passed over.",
        "parameters": [_query("feed", "The open feed.", default="prometheus")],
        "requestBody": {
            "required": True,
            "content": {"application/x-protobuf": {"schema": {"type": "string", "format": "binary"}}},
        },
        "responses": {"204": {"description": "Durable; `X-Tidemill-Receipt` is the receipt."}},
        "problems": (400, 408, 409, 410, 413, 415, 422, 503, 507),
    }
}
OPERATIONS["/write"] = {
    "post": _influx_write(
        "1",
        _query("db", "The database: the feed.", required=True),
        ("n", "ns", "u", "us", "ms", "s", "m", "h"),
        [
            _query("rp", "The retention policy; one other than autogen is part of the feed's name: `db-rp`."),
            _query("u", "A user's name; not looked at."),
            _query("p", "The key."),
        ],
    )
}
OPERATIONS["/api/v2/write"] = {
    "post": _influx_write(
        "2",
        _query("bucket", "The bucket: the feed.", required=True),
        ("ns", "us", "ms", "s"),
        [_query("org", "The organization; not looked at.")],
    )
}
OPERATIONS["/api/v3/write_lp"] = {
    "post": _influx_write(
        "3",
        _query("db", "The database: the feed.", required=True),
        ("auto", "nanosecond", "microsecond", "millisecond", "second"),
        [
            _query("accept_partial", "`false`: a body with a line at fault is refused as a whole.", default="true"),
            _query("no_sync", "Not looked at: every acknowledgement means durable."),
        ],
    )
}

_TIME: Final = {"type": ["string", "number"], "description": "ISO 8601, or a number since the epoch in `time_unit`."}

# The schemas of the operations above; that of `Receipt` comes from the routes that read receipts.
SCHEMAS: Final[dict[str, Any]] = {
    "Fix": {
        "type": "object",
        "required": ["timestamp", "lat", "long", "accuracy", "speed", "user_id"],
        "properties": {
            "timestamp": {"type": "string", "description": "Local time at the position, or with an offset."},
            "lat": {"type": "number", "minimum": -90, "maximum": 90},
            "long": {"type": "number", "minimum": -180, "maximum": 180},
            "accuracy": {"type": "number", "minimum": 0},
            "speed": {"type": "number", "minimum": 0},
            "user_id": {"type": "string"},
        },
    },
    "PointsOutcome": {  # with the members of Receipt (`openapi.py`)
        "type": "object",
        "description": "The receipt of a payload of an open feed.",
        "properties": {
            "errors": {
                "type": "array",
                "description": "With `Prefer: wait`: the first faults of records, at most 100.",
                "items": {
                    "type": "object",
                    "required": ["path", "code", "message"],
                    "properties": {
                        "path": {"type": "string", "examples": ["line 3"]},
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                    },
                },
            }
        },
    },
    "InfluxError": {
        "type": "object",
        "description": "As InfluxDB answers: 1 and 3 `error` (3 with `data`, the lines at fault), 2 `code` and "
        "`message`.",
        "properties": {
            "error": {"type": "string"},
            "code": {"type": "string"},
            "message": {"type": "string"},
            "data": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["original_line", "line_number", "error_message"],
                    "properties": {
                        "original_line": {"type": "string"},
                        "line_number": {"type": "integer"},
                        "error_message": {"type": "string"},
                    },
                },
            },
        },
    },
    "NewSeries": {
        "type": "object",
        "required": ["values"],
        "properties": {
            "name": {"type": "string"},
            "unit": {"type": "string"},
            "description": {"type": "string"},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "start": _TIME,
            "time_unit": {
                "type": "string",
                "enum": ["s", "ms", "us", "ns"],
                "description": "The unit of `start` or `times` where they are numbers; needed then.",
            },
            "interval": {"type": "string", "examples": ["39.0625us", "15m"]},
            "sample_rate_hz": {"type": "number", "exclusiveMinimum": 0},
            "times": {"type": "array", "items": _TIME},
            "values": {"type": "array", "items": {"type": ["number", "null"]}, "maxItems": 1_000_000},
        },
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457. `receipt` is there when the bytes were kept, `incident` when the fault is ours.",
        "required": ["type", "title", "status", "code", "detail", "errors"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["path", "code", "message"],
                    "properties": {
                        "path": {"type": "string", "examples": ["$.data[17]"]},
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                    },
                },
            },
            "receipt": {"type": "string"},
            "incident": {"type": "string"},
        },
    },
}
