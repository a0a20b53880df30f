"""Payloads as the origin of points: their facts, the text of one of their records, and the rules that it passed.

A deleted payload or a feed version that cannot be read any more is no error: the parts of the answer that need it are
null or empty.
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
from tidemill.query.deletions import bytes_deleted_at
from tidemill.query.receipts import Links, receipt_links
from tidemill.query.record_texts import json_or_text
from tidemill.store.client import Store

MAX_CUT_BYTES: Final = 16 << 20  # no record is cut out of a larger payload: reading all of it takes too long


class Origin(msgspec.Struct, frozen=True):
    """The payload of a record. `receipt` is null when the store does not have the payload (any more); `bytes_gone_at`
    is when its bytes were deleted; `replay` is the replay that applied the payload last, if one did."""

    receipt: str | None
    sha256: str | None
    received_at: str | None
    state: str | None
    bytes: int | None
    bytes_gone_at: str | None
    replay: str | None
    links: Links | None


class PassedRule(msgspec.Struct, frozen=True):
    """A rule of the feed version that judged a record: what breaks the rule, and whether it flagged the record."""

    check: str
    reason: str
    action: str
    broken_when: str
    flagged: bool


class Rules(msgspec.Struct, frozen=True):
    """The feed version that judged a record, the link of its definition, and its rules in order."""

    feed: str
    version: int
    definition: str
    passed: list[PassedRule]


class ReplacedValue(msgspec.Struct, frozen=True):
    """A superseded value: when it was received, the payload that replaced it and when that was received."""

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

    def payload_facts(self, tenant: str, seqs: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The facts of the payloads at these offsets that the store has, by offset; times in ns."""
        wanted = sorted(set(seqs) - {0})
        if not wanted:
            return {}
        rows = {row["seq"]: row for row in self._store.rows("lineage_payloads", tenant=tenant, seqs=wanted)}
        deleted = [row for row in rows.values() if row["state"] == "deleted"]
        times = bytes_deleted_at(self._store, tenant, deleted) if deleted else {}
        return {seq: {**row, "bytes_deleted_ns": times.get(row["receipt"])} for seq, row in rows.items()}

    def record(self, tenant: str, feed: Feed | None, facts: Mapping[str, Any] | None, index: int) -> Any:
        """The record at an index of a payload: JSON as it came, else its text; None when it is deleted, not known or
        in a payload of more than MAX_CUT_BYTES."""
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

    def feed_version(self, tenant: str, name: str, facts: Mapping[str, Any] | None) -> Feed | None:
        """The feed version that a payload was applied under; the current one for `facts` None. None: not readable."""
        try:
            if facts is None:
                return self._book.newest(tenant, name)
            return self._book.version(tenant, name, facts["feed_version"])
        except (NotFoundError, FeedDefinitionError):
            return None


def payload_origin(facts: Mapping[str, Any] | None) -> Origin:
    """The Origin of an answer from the facts of a payload; all null for `facts` None."""
    if facts is None:
        return Origin(None, None, None, None, None, None, None, None)
    deleted = facts["bytes_deleted_ns"]
    return Origin(
        receipt=facts["receipt"],
        sha256=facts["sha256"],
        received_at=format_instant(facts["received_at"]),
        state=facts["state"],
        bytes=facts["bytes"],
        bytes_gone_at=None if deleted is None else format_instant(deleted),
        replay=facts["replay"] or None,
        links=receipt_links(facts["receipt"]),
    )


def judging_rules(name: str, feed: Feed | None, version: int, marks: Collection[str] = ()) -> Rules:
    """The rules that judged a record with these marks; none listed for `feed` None (its definition is not readable)."""
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
    """The ReplacedValue of a row of `lineage_replaced`; `facts` are those of its payloads, by offset."""
    successor = facts.get(row["by_seq"])
    return ReplacedValue(
        value=row["value"],
        index=row["idx"],
        received_at=format_instant(row["received_at"]),
        payload=payload_origin(facts.get(row["seq"])),
        replaced_by=payload_origin(successor),
        replaced_by_index=row["by_idx"],
        replaced_at=format_instant(successor["received_at"]) if successor else None,
    )
