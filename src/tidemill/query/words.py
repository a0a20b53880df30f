"""Pieces of sentences: numbers, records and details as people read them."""

from collections.abc import Mapping
from typing import Any

import msgspec


def number(value: float | None) -> str:
    """A value in its shortest form that is exact; `no value` for one that is missing."""
    return "no value" if value is None else msgspec.json.encode(value).decode().removesuffix(".0")


def place_of(facts: Mapping[str, Any] | None, index: int) -> str:
    """`record 3 of payload ID`; `facts` None: the store does not know the payload any more."""
    return f"record {index} of payload {facts['receipt']}" if facts else f"record {index} of a payload that is gone"


def capital(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def sentences(detail: str) -> str:
    """A detail of the ledger as a sentence."""
    text = detail.strip()
    return capital(text) + ("" if text.endswith((".", "!", "?")) else ".")
