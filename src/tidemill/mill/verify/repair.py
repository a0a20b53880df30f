"""Repairs a data folder that no server works on: log and store give each other back what one of them has lost.

Writes only bytes that match their checksum. Bytes that both have lost are reported as lost.
"""

from pathlib import Path

from tidemill.errors import StoreQueryError
from tidemill.log.at_rest import Repaired
from tidemill.log.contract import LogReader
from tidemill.log.damage import LogDamage
from tidemill.mill.checkpoint import Checkpoint
from tidemill.mill.state_files import mill_states
from tidemill.mill.verify import kinds
from tidemill.model.offset import index_of, start_of
from tidemill.model.verification import VerifyReport
from tidemill.store.client import Store


def stored_body(store: Store, damage: LogDamage) -> bytes:
    """The body of a damaged entry as the store has it; b"" where the store has none. Raises StoreUnavailableError."""
    try:
        return store.raw("payload_body", "RawBLOB", tenant=damage.tenant, receipt=damage.receipt)
    except StoreQueryError:
        return b""


def repair_store(data: Path, log: LogReader, store: Store, report: VerifyReport, *, again: bool) -> Repaired:
    """Put back the bodies of payloads that the store has damaged, and let the mill apply again what the store lacks, as
    a report found it; `again`: all that the log of the data folder keeps. Raises TidemillError, OSError."""
    repaired = Repaired([], [])
    _put_bodies_back(log, store, report, repaired)
    states = mill_states(data, len(log.partitions))
    for number, (partition, state) in enumerate(zip(log.partitions, states, strict=True)):
        lacks = [
            finding.seq
            for finding in report.findings
            if finding.code == kinds.LogUnapplied.code
            and finding.seq
            and index_of(finding.seq, len(log.partitions)) == number
        ]
        if again:
            lacks.append(partition.first_seq())
        checkpoint = Checkpoint.applied(state)
        if lacks and min(lacks) <= checkpoint.seq:
            checkpoint.save(max(start_of(number), min(lacks) - 1))
            repaired.done.append(f"payloads from {min(lacks)} on are applied again when the server starts")
    return repaired


def _put_bodies_back(log: LogReader, store: Store, report: VerifyReport, repaired: Repaired) -> None:
    """Write the bodies of payloads that the store has damaged from the log's copies."""
    damaged = {
        (finding.tenant, finding.receipt)
        for finding in report.findings
        if finding.code == kinds.PayloadBytes.code and finding.receipt
    }
    for tenant, receipt in sorted(damaged):
        entries = [partition.find(tenant, receipt) for partition in log.partitions]
        copies = [logged for logged in entries if logged is not None and not logged.damage]
        if not copies:
            why = "its bytes in the store, and the log has no copy of it that matches"
            repaired.lost.append(f"payload {receipt}: {why}")
            continue
        store.command("repair_body", tenant=tenant, receipt=receipt, body=copies[0].payload.body.hex())
        repaired.done.append(f"payload {receipt}: its bytes in the store are those of the log")
