"""Payloads in the log, made by hand."""

import hashlib

from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.model.payload import LogEntry, Payload

FEEDS: dict[str, Feed] = {name: load_feed(text, source=f"{name}.toml") for name, text in RECIPES.items()}
RECEIVED_NS = 1_700_000_000_000_000_000  # 2023-11-14T22:13:20Z
FIX = (
    b'{"timestamp": "2017-01-01 13:05:12", "lat": 40.701, "long": -73.916, "accuracy": 11.3, "speed": 1.4, '
    b'"user_id": "a1"}'
)


def logged(
    seq: int, body: bytes, feed: str = "location", format: str = "json", received_ns: int = RECEIVED_NS
) -> LogEntry:
    """A payload at an offset of the log."""
    receipt = f"00000000-0000-7000-8000-{seq:012x}"
    digest = hashlib.sha256(body).digest()
    return LogEntry(seq, Payload(receipt, "default", feed, 1, received_ns, format, body, digest))
