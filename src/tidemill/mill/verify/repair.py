"""Repairs a data folder that no server works on: log and store give each other back what one of them has lost.

Nothing is written that its own checksum does not prove. What is gone from both is said to be.
"""

from pathlib import Path

import msgspec

from tidemill.errors import StoreQueryError
from tidemill.log import database, mending, recovery
from tidemill.log.damage import Damage, Damages
from tidemill.log.reader import SqliteLogReader
from tidemill.mill.position import Position
from tidemill.mill.verify import kinds
from tidemill.mill.verify.report import Report
from tidemill.store.client import Store


class Repaired(msgspec.Struct, frozen=True):
    """What was done, and what could not be: sentences."""

    done: list[str]
    gone: list[str]


def repair_entries(folder: Path, store: Store) -> Repaired:
    """Put back the entries of the log in `folder` that are damaged: what one flipped bit changed, else the store's copy
    of the body. Raises apsw.Error, TidemillError."""
    done: list[str] = []
    gone: list[str] = []
    connection = database.open_writer(folder / database.FILE)
    try:
        damages = Damages(folder / database.FILE, quiet=True)
        last = recovery.verify_tail(connection, 0, damages)
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


def repair_store(folder: Path, store: Store, position: Position, report: Report, *, again: bool) -> Repaired:
    """Put back the bodies of payloads that the store has damaged, and let the mill apply again what the store lacks, as
    a report found it; `again`: all that the log in `folder` keeps. Raises TidemillError, OSError."""
    done: list[str] = []
    gone: list[str] = []
    log = SqliteLogReader(folder, quiet=True)
    try:
        damaged = {
            (one.tenant, one.receipt) for one in report.findings if one.code == kinds.PayloadBytes.code and one.receipt
        }
        for tenant, receipt in sorted(damaged):
            logged = log.find(tenant, receipt)
            if logged is None or logged.damage:
                gone.append(f"payload {receipt}: its bytes in the store, and the log has no copy of it that matches")
                continue
            store.command("repair_body", tenant=tenant, receipt=receipt, body=logged.payload.body.hex())
            done.append(f"payload {receipt}: its bytes in the store are those of the log")
        lacks = [one.seq for one in report.findings if one.code == kinds.LogUnapplied.code and one.seq]
        if again:
            lacks.append(log.first_seq())
        if lacks and min(lacks) <= position.seq:
            position.save(max(0, min(lacks) - 1))
            done.append(f"payloads from {min(lacks)} on are applied again when the server starts")
    finally:
        log.close()
    return Repaired(done, gone)


def _body(store: Store, damage: Damage) -> bytes:
    try:
        return store.raw("payload_body", "RawBLOB", tenant=damage.tenant, receipt=damage.receipt)
    except StoreQueryError:
        return b""
