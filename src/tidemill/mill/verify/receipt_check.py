"""Checks payloads and their receipts: the bytes are what was sent, and accepted + rejected are the records in them."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.errors import Fault
from tidemill.mill.verify import kinds
from tidemill.mill.verify.decoded import COUNTS, RECORD, DecodedPayloads, VersionedReader, joined_payloads
from tidemill.mill.verify.report import Findings
from tidemill.model import deletion
from tidemill.model.payload import EntryKind, LogEntry, Payload
from tidemill.model.verification import Totals

STATES: Final = frozenset({"applied", "refused", "poison", "deleted"})
_faults = msgspec.json.Decoder(tuple[Fault, ...]).decode


class StoredPayloads(msgspec.Struct, frozen=True):
    """Payloads of one feed as the store has them. `rows` by seq; `rejected` (`seq`, `idx`, `reasons`): their rejected
    records, also deleted ones, and without recovered ones, of which there are `recovered`; `tombstones` (`seq`, `idx`,
    `series`): deleted records, or (`series` above 0) points of theirs."""

    tenant: str
    feed: str
    rows: dict[int, dict[str, Any]]
    rejected: pl.DataFrame
    tombstones: pl.DataFrame
    recovered: int

    def about(self, seq: int) -> dict[str, Any]:
        """What a finding says of a payload."""
        row = self.rows.get(seq)
        return {"tenant": self.tenant, "feed": self.feed, "seq": seq, "receipt": row["receipt"] if row else ""}


def rejected_records(ledger: pl.DataFrame, tombstones: pl.DataFrame) -> pl.DataFrame:
    """`seq`, `idx`, `reasons` of the records that are rejected: those of the ledger, and deleted ones that were."""
    deleted = tombstones.filter((pl.col("series") == 0) & (pl.col("reasons").list.len() > 0))
    columns = [*RECORD, "reasons"]
    both = pl.concat([ledger.filter(~pl.col("recovered")).select(columns), deleted.select(columns)])
    return both.unique(RECORD, keep="first", maintain_order=True)


def entries_of(stored: StoredPayloads, deleted_until: int, findings: Findings) -> list[LogEntry]:
    """The payloads that have their bytes, as entries of the log; notes bytes that are not what the row says.
    `deleted_until`: the offset of the feed's last deletion."""
    entries = []
    for seq, row in stored.rows.items():
        body, sha256 = bytes.fromhex(row["body"]), bytes.fromhex(row["sha256"])
        row["body"] = body
        if row["state"] == "deleted":
            _deleted(stored, seq, deleted_until, findings)
            continue
        if len(body) != row["bytes"]:
            _say(findings, kinds.PayloadBytes, stored, seq, "length", row["bytes"], len(body))
        elif (digest := hashlib.sha256(body).digest()) != sha256:
            _say(findings, kinds.PayloadBytes, stored, seq, "sha256", sha256.hex(), digest.hex())
        if row["state"] not in STATES:
            _say(findings, kinds.PayloadState, stored, seq, "state", ", ".join(sorted(STATES)), row["state"])
        entries.append(_entry(stored, seq, row, body, sha256))
    return entries


def _deleted(stored: StoredPayloads, seq: int, deleted_until: int, findings: Findings) -> None:
    body = stored.rows[seq]["body"]
    if body:
        _say(findings, kinds.PayloadBytes, stored, seq, "bytes of a deleted payload", 0, len(body))
    if seq > deleted_until:
        _say(findings, kinds.PayloadState, stored, seq, "state", "a deletion of the feed after it", "deleted")


def decode_again(
    reader: VersionedReader, stored: StoredPayloads, entries: Iterable[LogEntry], findings: Findings
) -> DecodedPayloads:
    """What these payloads hold. A refused payload's records make no points, and poison is one record."""
    parts = []
    of_state = sorted(entries, key=lambda entry: (stored.rows[entry.seq]["state"], entry.payload.feed_version))
    for (state, version), run in groupby(
        of_state, key=lambda entry: (stored.rows[entry.seq]["state"], entry.payload.feed_version)
    ):
        batch = list(run)
        if state == "applied":
            deletions = [entry for entry in batch if _deletes(stored.rows[entry.seq])]
            data = [entry for entry in batch if not _deletes(stored.rows[entry.seq])]
            parts.append(_counted(deletions, 0))
            if data:
                parts.append(reader.applied(stored.tenant, stored.feed, version, data, _spans(stored, data)))
        elif state == "refused":
            counts = reader.refused(stored.tenant, stored.feed, version, batch)
            parts.append(msgspec.structs.replace(joined_payloads([]), counts=counts))
        else:
            parts.append(_counted(batch, 1))
    decoded = joined_payloads(parts)
    for seq, why in decoded.unreadable.items():
        findings.add(
            kinds.PayloadUnreadable, what="decoding its bytes again", expected="records", observed=why,
            **stored.about(seq),
        )  # fmt: skip
    return decoded


def check_receipts(stored: StoredPayloads, decoded: DecodedPayloads, findings: Findings) -> Totals:
    """Compare the receipts with the ledger and with the records that there are; returns the sums."""
    records = dict(decoded.counts.select("seq", "records").iter_rows())
    rejected = dict(stored.rejected.group_by("seq").len().iter_rows())
    reasons = _reasons(stored.rejected)
    for seq, row in stored.rows.items():
        if row["state"] == "deleted" or seq in decoded.unreadable:
            continue
        stated, n = row["accepted"] + row["rejected"], records.get(seq, 0)
        if stated != n:
            _say(findings, kinds.ReceiptSum, stored, seq, "accepted + rejected", n, stated)
        if row["rejected"] != rejected.get(seq, 0):
            _say(findings, kinds.ReceiptRejected, stored, seq, "rejected", rejected.get(seq, 0), row["rejected"])
        in_row = {pair["1"]: pair["2"] for pair in row["reasons"]}
        if in_row != reasons.get(seq, {}):
            _say(findings, kinds.ReceiptReasons, stored, seq, "reasons", _text(reasons.get(seq, {})), _text(in_row))
        if row["state"] != "applied" and row["accepted"]:
            _say(findings, kinds.ReceiptAccepted, stored, seq, f"accepted of a {row['state']} payload", 0,
                 row["accepted"])  # fmt: skip
    _records(stored, decoded, findings)
    _nulls(stored, decoded, findings)
    held = [row for row in stored.rows.values() if row["state"] != "deleted"]
    return Totals(
        payloads=len(stored.rows),
        deleted=len(stored.rows) - len(held),
        records=sum(records.values()),
        accepted=sum(row["accepted"] for row in held),
        rejected=sum(row["rejected"] for row in held),
        recovered=stored.recovered,
    )


def _records(stored: StoredPayloads, decoded: DecodedPayloads, findings: Findings) -> None:
    """Note records that the ledger names and the payload lacks, and records that cannot make points and are not in the
    ledger."""
    beyond = stored.rejected.join(decoded.counts, on="seq").filter(pl.col("idx") >= pl.col("end"))
    for seq, idx, records in beyond.select(*RECORD, "records").iter_rows():
        _say(findings, kinds.RecordUnknown, stored, seq, f"record {idx} of the ledger", f"{records} records", idx)
    for seq, idx in decoded.mute.join(stored.rejected, on=RECORD, how="anti").iter_rows():
        _say(findings, kinds.RecordUnaccounted, stored, seq, f"record {idx}", "in the ledger", "not there")


def _nulls(stored: StoredPayloads, decoded: DecodedPayloads, findings: Findings) -> None:
    """Note where null values and times in the row of a payload are not those of its records. A payload that was applied
    before these were noted has none. Times are not compared where nothing tells that of an accepted record."""
    untimed = set(decoded.unclear.join(stored.rejected, on=RECORD, how="anti")["seq"])
    for seq, nulls, first, last in decoded.times.cast({"first_time": pl.Int64, "last_time": pl.Int64}).iter_rows():
        row = stored.rows[seq]
        for what, held, noted in (
            ("null values", nulls, row["nulls"]),
            ("first time", first, row["first_ns"]),
            ("last time", last, row["last_ns"]),
        ):
            known = row["nulls"] is not None and (what == "null values" or seq not in untimed)
            if known and held != noted:
                _say(findings, kinds.ReceiptNulls, stored, seq, what, held, noted)


def _say(
    findings: Findings, kind: type[kinds.FindingKind], stored: StoredPayloads, seq: int, what: str, *sides: object
) -> None:
    expected, observed = sides
    findings.add(kind, what=what, expected=expected, observed=observed, **stored.about(seq))


def _reasons(rejected: pl.DataFrame) -> dict[int, dict[str, int]]:
    counted = rejected.select("seq", "reasons").explode("reasons").group_by("seq", "reasons").len()
    by_seq: dict[int, dict[str, int]] = {}
    for seq, reason, n in counted.iter_rows():
        by_seq.setdefault(seq, {})[reason] = n
    return by_seq


def _text(reasons: dict[str, int]) -> str:
    return ", ".join(f"{code} {n}" for code, n in sorted(reasons.items())) or "none"


def _spans(stored: StoredPayloads, entries: Sequence[LogEntry]) -> dict[int, tuple[int, int]]:
    """The first and the last instant (ns) that the rows of payloads note, by offset."""
    rows = {entry.seq: stored.rows[entry.seq] for entry in entries}
    return {seq: (row["first_ns"], row["last_ns"]) for seq, row in rows.items() if row["first_ns"] is not None}


def _deletes(row: dict[str, Any]) -> bool:
    """Whether a payload is the request of a deletion, which holds no records."""
    return bool(row["format"] == deletion.DELETION_FORMAT)


def _counted(entries: list[LogEntry], records: int) -> DecodedPayloads:
    held = [records] * len(entries)
    counts = pl.DataFrame({"seq": [e.seq for e in entries], "records": held, "end": held}, schema=COUNTS)
    return msgspec.structs.replace(joined_payloads([]), counts=counts)


def _entry(stored: StoredPayloads, seq: int, row: dict[str, Any], body: bytes, sha256: bytes) -> LogEntry:
    payload = Payload(
        receipt=row["receipt"],
        tenant=stored.tenant,
        feed=stored.feed,
        feed_version=row["feed_version"],
        received_ns=row["received_ns"],
        format=row["format"],
        body=body,
        sha256=sha256,
        kind=EntryKind.REFUSED if row["state"] == "refused" else EntryKind.DATA,
        faults=_faults(row["faults"]) if row["faults"] else (),
    )
    return LogEntry(seq, payload)
