"""Decodes request bodies that are JSON documents of a stated shape, and names every fault of the shape by its path."""

from typing import Any, Final, TypeVar

import msgspec

from tidemill.errors import Fault, InputError, count_of_faults
from tidemill.feeds.convert import DefinitionFault, convert_data

_T = TypeVar("_T")
_JSON_WORDS: Final = {"list": "array", "str": "string", "int": "number", "float": "number", "bool": "boolean"}


def decode_document(raw: bytes) -> Any:
    """The JSON document of a body. Raises InputError."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        fault = Fault("$", "invalid_json", f"the body is not JSON: {error}")
        raise InputError(fault.message, (fault,)) from None


def convert_document(data: Any, kind: type[_T]) -> tuple[_T | None, list[Fault]]:
    """A document as a struct of this kind (null where its faults prevent that), and all faults of its shape."""
    findings: list[DefinitionFault] = []
    body = convert_data(data, kind, (), findings)
    faults = [Fault(_path(finding.key), finding.code, _in_json(finding.message)) for finding in findings]
    return (body if isinstance(body, kind) else None), faults


def refuse_faults(faults: list[Fault]) -> None:
    """Raise InputError if there are faults."""
    if faults:
        raise InputError(f"{count_of_faults(len(faults))} in the body: {faults[0].message}", tuple(faults))


def _in_json(message: str) -> str:
    """A message about TOML in the words of JSON."""
    expected, split, kind = message.partition(", not ")
    if expected != "must be a table":
        return message
    return f"must be an object{split}{_JSON_WORDS.get(kind, kind)}"


def _path(key: tuple[Any, ...]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
