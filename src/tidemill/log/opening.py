"""Opens a log; no other module names the implementations.

Every data folder has the embedded log, which is SQLite files. A cluster has a log over JetStream, at the address in
TIDEMILL_LOG, which any number of processes append to.
"""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

from tidemill.clock import Trust
from tidemill.errors import LogCorruptError
from tidemill.log.at_rest import LogFiles
from tidemill.log.contract import BacklogReader, IntakeLog, LogReader
from tidemill.log.jetstream import JetStreamLink, JetStreamLog, JetStreamLogReader, LogAddress, parse_log_address
from tidemill.log.jetstream.names import StreamNames
from tidemill.log.jetstream.streams import check_nodes
from tidemill.log.limits import LogLimits
from tidemill.log.partitioned import LogOfPartition, PartitionedLog, PartitionedReader
from tidemill.log.partitions import log_folder, partition_count
from tidemill.log.sqlite import ShutLog, SqliteLog, SqliteLogReader
from tidemill.log.sqlite.files import SqliteLogFiles

_log = logging.getLogger(__name__)


def open_log(data: Path, known: Sequence[int], *, limits: LogLimits, trust: Trust, shared: str = "") -> IntakeLog:
    """Open the log as its one writer, or the one at `shared` (TIDEMILL_LOG) as one of its writers. `known`: the newest
    offset of each partition that the store or a checkpoint names.

    A damaged partition stays readable and refuses payloads. Raises StartupError (another owner, network file system),
    and what `open_cluster_log` raises.
    """
    if shared:
        return open_cluster_log(parse_log_address(shared), known, limits=limits)

    def open_for_writing(number: int, known_offset: int) -> LogOfPartition:
        folder = log_folder(data, number)
        try:
            return SqliteLog(folder, limits=limits, known_offset=known_offset, trust=trust, partition=number)
        except LogCorruptError as error:  # report it: another start would change nothing
            _log.error("payloads are refused: %s", error.message)
            return ShutLog(folder, error, number)

    logs = [open_for_writing(number, offset) for number, offset in enumerate(known)]
    return logs[0] if len(logs) == 1 else PartitionedLog(logs)


def open_partition_reader(data: Path, partition: int, shared: str = "") -> BacklogReader:
    """A reader of one partition for the mill; the partition's files need not exist yet."""
    if shared:
        return open_cluster_partition_reader(parse_log_address(shared), partition)
    return SqliteLogReader(log_folder(data, partition))


def open_log_reader(data: Path, shared: str = "") -> LogReader:
    """A reader of all partitions; it reports damage in `known_damages` only, not in the server's log."""
    count = partition_count(data)
    if shared:
        return open_cluster_reader(parse_log_address(shared), count)
    return PartitionedReader([SqliteLogReader(log_folder(data, number), quiet=True) for number in range(count)])


def log_files(data: Path, count: int | None = None) -> LogFiles:
    """The files of the log of a data folder, with `count` partitions (None: the number that is kept in the folder)."""
    return SqliteLogFiles(data, partition_count(data) if count is None else count)


def open_cluster_log(address: LogAddress, known: Sequence[int], *, limits: LogLimits) -> IntakeLog:
    """Open the log over JetStream to append, trim and erase; any number of processes may. `known`: as in `open_log`.

    A partition that lost its end stays readable and refuses payloads. Raises StartupError, which says what to do, when
    a node does not sync each write, cannot be asked or reached, or the log has another number of partitions.
    """
    replicas = min(3, check_nodes(address.monitors))
    link = link_to(address.servers)
    logs = [
        JetStreamLog(
            link,
            StreamNames(address.name, number),
            replicas=replicas,
            partitions=len(known),
            limits=limits,
            known_offset=offset,
            monitors=address.monitors,
        )
        for number, offset in enumerate(known)
    ]
    return logs[0] if len(logs) == 1 else PartitionedLog(logs)


def open_cluster_partition_reader(address: LogAddress, partition: int) -> BacklogReader:
    """A reader of one partition for the mill; the partition's stream need not exist yet."""
    return JetStreamLogReader(link_to(address.servers), StreamNames(address.name, partition))


def open_cluster_reader(address: LogAddress, count: int) -> LogReader:
    """A reader of all partitions; it reports damage in `known_damages` only, not in the server's log."""
    link = link_to(address.servers)
    return PartitionedReader(
        [JetStreamLogReader(link, StreamNames(address.name, number), quiet=True) for number in range(count)]
    )


@functools.cache
def link_to(servers: tuple[str, ...]) -> JetStreamLink:
    """The one connection of this process to these servers."""
    return JetStreamLink(servers)


__all__ = [
    "LogAddress",
    "link_to",
    "log_files",
    "open_cluster_log",
    "open_cluster_partition_reader",
    "open_cluster_reader",
    "open_log",
    "open_log_reader",
    "open_partition_reader",
    "parse_log_address",
]
