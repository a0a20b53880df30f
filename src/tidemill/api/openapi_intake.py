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
