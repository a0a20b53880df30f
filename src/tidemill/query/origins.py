"""Payloads as the origin of points: what is known of them, the text of one of their records, and the rules it passed.

A payload may be gone by deletion, and a feed version may be one that cannot be read any more: then less is said, and
nothing fails.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from tidemill.decode.decoder import DEEPEST, Decoder
from tidemill.decode.texts import MAX_RECORD_TEXT
from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.model.time import format_instant
from tidemill.query.deletions import gone_at
from tidemill.query.receipts import Links, links
from tidemill.query.rejections import json_or_text
from tidemill.store.client import Store

MAX_CUT_BYTES: Final = 16 << 20  # of a larger payload no record is cut out: reading it all takes too long


class Origin(msgspec.Struct, frozen=True):
    """A payload that something came with. `receipt` is null when the store does not know it (any more); `bytes_gone_at`
    says since when its bytes are deleted; `replay` is the replay that applied it last, if one did."""

    receipt: str | None
    sha256: str | None
    received_at: str | None
    state: str | None
    bytes: int | None
    bytes_gone_at: str | None
    replay: str | None
    links: Links | None


class PassedRule(msgspec.Struct, frozen=True):
    """A rule of the version that judged a record: what would have broken it, and whether it flagged the record."""

    check: str
    reason: str
    action: str
    broken_when: str
    flagged: bool


class Rules(msgspec.Struct, frozen=True):
    """The feed version whose rules made a point, where to read them, and each of them in order."""

    feed: str
    version: int
    definition: str
    passed: list[PassedRule]


class ReplacedValue(msgspec.Struct, frozen=True):
    """A value that stood once: when it was received, what replaced it and when that was received."""

    value: float | None
    index: int
    received_at: str
    payload: Origin
    replaced_by: Origin
    replaced_by_index: int
    replaced_at: str | None


class Origins:
    """Reads payloads and the feed versions that they were applied under."""

    def __init__(self, store: Store, book: FeedBook) -> None:
        self._store, self._book = store, book

    def facts(self, tenant: str, seqs: Iterable[int]) -> dict[int, dict[str, Any]]:
        """What the store knows of the payloads at these places, by place; times in ns."""
        wanted = sorted(set(seqs) - {0})
        if not wanted:
            return {}
        rows = {row["seq"]: row for row in self._store.rows("lineage_payloads", tenant=tenant, seqs=wanted)}
        gone = [row for row in rows.values() if row["state"] == "deleted"]
        since = gone_at(self._store, tenant, gone) if gone else {}
        return {seq: {**row, "gone_ns": since.get(row["receipt"])} for seq, row in rows.items()}

    def record(self, tenant: str, feed: Feed | None, facts: Mapping[str, Any] | None, index: int) -> Any:
        """One record as the ledger shows it: JSON as it came, else a text; null when it is gone or not known."""
        if facts is None or facts["state"] == "deleted":
            return None
        receipt = facts["receipt"]
        if feed is None or feed.shape.kind == "samples":
            start = self._store.raw(
                "lineage_body_start", "RawBLOB", tenant=tenant, receipt=receipt, length=MAX_RECORD_TEXT
            )
            return json_or_text(start.decode("utf-8", "replace"))
        if facts["bytes"] > MAX_CUT_BYTES:
            return None
        body = self._store.raw("payload_body", "RawBLOB", tenant=tenant, receipt=receipt)
        return json_or_text(Decoder(feed, max_depth=DEEPEST).record_texts(body, facts["format"]).text(index))

    def feed(self, tenant: str, name: str, facts: Mapping[str, Any] | None) -> Feed | None:
        """The feed version that a payload was applied under; without a payload the one in force. None: not readable."""
        try:
            if facts is None:
                return self._book.current(tenant, name)
            return self._book.version(tenant, name, facts["feed_version"])
        except (NotFoundError, FeedDefinitionError):
            return None


def origin(facts: Mapping[str, Any] | None) -> Origin:
    """A payload as it is answered."""
    if facts is None:
        return Origin(None, None, None, None, None, None, None, None)
    gone = facts["gone_ns"]
    return Origin(
        receipt=facts["receipt"],
        sha256=facts["sha256"],
        received_at=format_instant(facts["received_at"]),
        state=facts["state"],
        bytes=facts["bytes"],
        bytes_gone_at=None if gone is None else format_instant(gone),
        replay=facts["replay"] or None,
        links=links(facts["receipt"]),
    )


def rules(name: str, feed: Feed | None, version: int, marks: Collection[str] = ()) -> Rules:
    """The rules that a record with these marks passed. `feed` None: its definition cannot be read."""
    passed = [
        PassedRule(
            check=rule.check,
            reason=rule.code,
            action=rule.action,
            broken_when=rule.compiled().explain(),
            flagged=rule.action == "flag" and rule.code in marks,
        )
        for rule in (feed.rules if feed else ())
    ]
    return Rules(name, version, f"/v1/feeds/{name}?version={version}", passed)


def replaced_value(row: Mapping[str, Any], facts: Mapping[int, Mapping[str, Any]]) -> ReplacedValue:
    """A row of `lineage_replaced` as it is answered; `facts` of its payloads by place."""
    successor = facts.get(row["by_seq"])
    return ReplacedValue(
        value=row["value"],
        index=row["idx"],
        received_at=format_instant(row["received_at"]),
        payload=origin(facts.get(row["seq"])),
        replaced_by=origin(successor),
        replaced_by_index=row["by_idx"],
        replaced_at=format_instant(successor["received_at"]) if successor else None,
    )
