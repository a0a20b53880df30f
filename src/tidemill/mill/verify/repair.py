"""Repairs a data folder that no server works on: log and store give each other back what one of them has lost.

Nothing is written that its own checksum does not prove. What is gone from both is said to be.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidemill.errors import StoreQueryError
from tidemill.log import database, mending, recovery
from tidemill.log.damage import Damage, Damages
from tidemill.log.partitions import log_folder, partition_count
from tidemill.log.reader import SqliteLogReader
from tidemill.mill.position import Position, position_file
from tidemill.mill.verify import kinds
from tidemill.model.offset import index_of, start_of
from tidemill.model.verification import Report
from tidemill.store.client import Store


class Repaired(msgspec.Struct, frozen=True):
    """What was done, and what could not be: sentences."""

    done: list[str]
    gone: list[str]


def repair_entries(folder: Path, store: Store, partition: int = 0) -> Repaired:
    """Put back the entries of a partition's log in `folder` that are damaged: what one flipped bit changed, else the
    store's copy of the body. Raises apsw.Error, TidemillError."""
    done: list[str] = []
    gone: list[str] = []
    connection = database.open_writer(folder / database.FILE)
    try:
        damages = Damages(folder / database.FILE, quiet=True)
        last = recovery.verify_tail(connection, start_of(partition), damages)
        after = 0
        while page := mending.rows(connection, after, damages):
            after = page[-1].row[0]
        for damage in damages.known:
            whose = f"entry {damage.seq} of the log" + (f" (receipt {damage.receipt})" if damage.receipt else "")
            if damage.seq and damage.mended and mending.write_row(connection, damage.seq):
                done.append(f"{whose}: one flipped bit is taken back")
            elif damage.receipt and mending.write_body(connection, damage.seq, _body(store, damage)):
                done.append(f"{whose}: its bytes are those of the store")
            elif damage.seq <= last:
                gone.append(f"{whose}: {damage.what}, and the store has no copy of it that matches")
    finally:
        recovery.close_quietly(connection)
    return Repaired(done, gone)


def repair_store(data: Path, store: Store, report: Report, *, again: bool) -> Repaired:
    """Put back the bodies of payloads that the store has damaged, and let the mill apply again what the store lacks, as
    a report found it; `again`: all that the log of the data folder keeps. Raises TidemillError, OSError."""
    repaired = Repaired([], [])
    numbers = range(partition_count(data))
    logs = [SqliteLogReader(log_folder(data, number), quiet=True) for number in numbers]
    try:
        _put_bodies_back(logs, store, report, repaired)
        for number, log in enumerate(logs):
            lacks = [
                one.seq
                for one in report.findings
                if one.code == kinds.LogUnapplied.code and one.seq and index_of(one.seq, len(logs)) == number
            ]
            if again:
                lacks.append(log.first_seq())
            position = Position(position_file(data, number), start_of(number))
            if lacks and min(lacks) <= position.seq:
                position.save(max(start_of(number), min(lacks) - 1))
                repaired.done.append(f"payloads from {min(lacks)} on are applied again when the server starts")
    finally:
        for log in logs:
            log.close()
    return repaired


def _put_bodies_back(logs: Sequence[SqliteLogReader], store: Store, report: Report, repaired: Repaired) -> None:
    """Write the bodies of payloads that the store has damaged from the log's copies."""
    damaged = {
        (one.tenant, one.receipt) for one in report.findings if one.code == kinds.PayloadBytes.code and one.receipt
    }
    for tenant, receipt in sorted(damaged):
        copies = [logged for log in logs if (logged := log.find(tenant, receipt)) is not None and not logged.damage]
        if not copies:
            why = "its bytes in the store, and the log has no copy of it that matches"
            repaired.gone.append(f"payload {receipt}: {why}")
            continue
        store.command("repair_body", tenant=tenant, receipt=receipt, body=copies[0].payload.body.hex())
        repaired.done.append(f"payload {receipt}: its bytes in the store are those of the log")


def _body(store: Store, damage: Damage) -> bytes:
    try:
        return store.raw("payload_body", "RawBLOB", tenant=damage.tenant, receipt=damage.receipt)
    except StoreQueryError:
        return b""
