"""Tries a check when a feed is validated: compiles it, collects the faults of its options, and evaluates it once.

A check of another package can raise anything at each of these steps. An error that would occur for payloads must show
while the feed is validated: then it is a fault of the feed, and no payload is set aside because of it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.checks.check import Check, FeedColumns, HistoryCheck
from tidemill.checks.library import BUILT_IN, compile_check

_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_WRONG_TYPE: Final = re.compile(r"Expected `([\w |]+)`, got `(\w+)` - at `\$\.(.+)`")
_TYPES: Final = {
    "float": "a number", "int": "an integer", "str": "a text", "bool": "true or false", "array": "a list",
    "object": "a table", "null": "nothing",
}  # fmt: skip
Faults = list[tuple[str | None, str]]
_ALWAYS: Final[dict[str, Any]] = {"time": pl.Int64, "received_ns": pl.Int64, "seq": pl.UInt64, "idx": pl.UInt32}


def try_check(name: str, options: Mapping[str, Any], columns: FeedColumns) -> tuple[Check | None, Faults]:
    """(the check with its options, its faults: option or None, sentence) for a feed with these columns. The check is
    None where the options do not fit at all. Never raises for a known name.

    Built-in checks are not evaluated (1 ms each, and a server may start with a thousand): the tests of this folder do.
    """
    try:
        check = compile_check(name, options)
    except msgspec.ValidationError as error:
        return None, [(None, _option_sentence(str(error)))]
    except Exception as error:  # of another package's code
        return None, [(None, _error_sentence("cannot be made", error))]
    try:
        faults: Faults = list(check.faults(columns))
    except Exception as error:
        return check, [(None, _error_sentence("cannot look at its options", error))]
    return check, faults or ([] if type(check) in BUILT_IN else evaluate_check(check, columns))


def _option_sentence(message: str) -> str:
    """What msgspec says of options, in the words of a feed's author."""
    if missing := _MISSING.fullmatch(message):
        return f"the option '{missing[1]}' is missing"
    if wrong := _WRONG_TYPE.fullmatch(message):
        names = [" or ".join(_TYPES.get(kind, kind) for kind in kinds.split(" | ")) for kinds in wrong.groups()[:2]]
        expected, got = names
        return f"the option '{wrong[3]}' must be {expected}, is {got}"
    return message


def evaluate_check(check: Check, columns: FeedColumns) -> Faults:
    """The faults of a check whose options have none, found by evaluating it over two records and over none."""
    try:
        sentence: object = check.explain()
    except Exception as error:
        return [(None, _error_sentence("cannot explain itself", error))]
    if not isinstance(sentence, str):
        return [(None, f"must explain itself with a text, not {type(sentence).__name__}")]
    if isinstance(check, HistoryCheck):
        return []
    try:
        expression = check.broken_in(columns)
        frame = _two_records(columns, expression)
        answers = [part.select(expression.alias("broken"))["broken"] for part in (frame.clear(), frame)]
    except (Exception, pl.exceptions.PanicException) as error:
        return [(None, _error_sentence("cannot be evaluated", error))]
    if any(answer.dtype not in (pl.Boolean, pl.Null) for answer in answers) or len(answers[1]) != len(frame):
        return [(None, "must answer true, false or null for each record")]
    return []


def _two_records(columns: FeedColumns, expression: pl.Expr) -> pl.DataFrame:
    """A frame of two records: one with nothing but the required columns, and one with an arbitrary value in every
    column."""
    texts = (*(f"t.{name}" for name in columns.tags), *(f"a.{name}" for name in columns.attributes))
    numbers = {f"f.{name}" for name in columns.fields}
    if columns.registers:
        numbers |= {name for name in expression.meta.root_names() if name.startswith("f.")}
    values: dict[str, list[Any]] = {name: [0, 1] for name in _ALWAYS}
    values |= {name: [None, 1.5] for name in numbers} | {name: [None, "x y"] for name in texts}
    schema = {**_ALWAYS, **dict.fromkeys(numbers, pl.Float64), **dict.fromkeys(texts, pl.String)}
    if columns.labels:
        values["labels"], schema["labels"] = [None, ["x y"]], pl.List(pl.String)
    return pl.DataFrame(values, schema=schema)


def _error_sentence(what: str, error: BaseException) -> str:
    return f"{what}: {type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}".rstrip(": ")
