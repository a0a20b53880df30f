"""Checks a single record in a few microseconds, as intake does for every PUT. False only means: not certain."""

from collections.abc import Callable

import msgspec

from tidemill.decode.compile import compile_struct, key_tokens
from tidemill.decode.plan import Column, DecodePlan


def _is_time(column: Column) -> bool:
    return column.kind == "time_text"


def compile_quick_check(plan: DecodePlan, max_depth: int) -> Callable[[bytes], bool] | None:
    """A function that returns True only for a body that is one JSON object without fault. None for feeds whose records
    msgspec alone cannot check (optional members, times of other formats, packed or scaled numbers, registers, records
    inside a document)."""
    tokens = key_tokens(plan)
    kinds = {column.kind for column in plan.columns}
    optional = any(token.optional for token in tokens)
    beyond = kinds & {"time_number", "time_any", "offset", "packed", "packed_list"}
    beyond |= {column.kind for column in plan.columns if column.scaled or (_is_time(column) and not plan.times.certain)}
    if plan.records or plan.except_keys is not None or optional or beyond:
        return None
    decode = msgspec.json.Decoder(compile_struct(plan, certain_time=True)).decode
    expected = [(token.token, token.required) for token in tokens]

    def check(body: bytes) -> bool:
        try:
            decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if b"\\" in body or b"\x7f" in body or not body.isascii():
            return False
        if body.count(b"{") + body.count(b"[") > max_depth:
            return False
        return all(body.count(token) == count for token, count in expected)

    return check
