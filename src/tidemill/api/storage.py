"""The route that says where the disk goes: by feed, the archive of payloads, the tables, the log, and what is free."""

import shutil
from typing import Final

import msgspec

from tidemill.api.reads_common import ReadCall, answers_with, reading
from tidemill.query.parameters import QueryParameters
from tidemill.query.storage import FeedStorage, StoredTable, read_storage


class StorageQuery(QueryParameters, frozen=True):
    """No parameters."""


class Archive(msgspec.Struct, frozen=True):
    """The bytes of payloads, kept as they came. `payloads` and `received_bytes` are of this tenant; `stored_bytes`:
    what the archive of all tenants takes on disk, compressed."""

    payloads: int
    received_bytes: int
    stored_bytes: int


class LogStorage(msgspec.Struct, frozen=True):
    """The log on disk, of all tenants. `entries`: how many it keeps."""

    bytes: int
    entries: int


class Disk(msgspec.Struct, frozen=True):
    """The disk of the data folder. Below `least_free_bytes` nothing is accepted."""

    total_bytes: int
    free_bytes: int
    least_free_bytes: int


class StorageView(msgspec.Struct, frozen=True):
    """What is stored, in bytes. `feeds` are of this tenant; `tables`, `log` and `disk` are of the whole server.
    `exact`: the points of `feeds` are those that count; else, where there are very many, rows of replaced points that
    are not merged away yet are among them."""

    feeds: list[FeedStorage]
    exact: bool
    archive: Archive
    tables: list[StoredTable]
    log: LogStorage
    disk: Disk


@reading(
    "/v1/storage",
    StorageQuery,
    scope="admin",
    tags=["admin"],
    summary="Where the disk goes",
    responses=answers_with(StorageView, "Bytes and counts.", 400, 503),
)
def get_storage(call: ReadCall[StorageQuery]) -> StorageView:
    """Bytes and points by feed, the archive of payloads, the tables of the store, the log, and the free disk. Reads the
    ids of all points; the more there are the longer it takes, 2 s at most."""
    services = call.services
    stored, log = read_storage(services.store, call.tenant), services.log.health()
    usage = shutil.disk_usage(services.settings.folder)
    least = max(services.settings.min_free_bytes, int(usage.total * services.settings.min_free_ratio))
    return StorageView(
        feeds=stored.feeds,
        exact=stored.exact,
        archive=Archive(
            payloads=sum(feed.payloads for feed in stored.feeds),
            received_bytes=sum(feed.payload_bytes for feed in stored.feeds),
            stored_bytes=sum(table.bytes for table in stored.tables if table.name == "payloads"),
        ),
        tables=stored.tables,
        log=LogStorage(log.size_bytes, log.last_seq - log.first_seq + 1 if log.first_seq else 0),
        disk=Disk(usage.total, usage.free, least),
    )


STORAGE_ROUTES: Final = [get_storage]
