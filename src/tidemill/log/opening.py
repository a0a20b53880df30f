"""Opens the log of an installation; no other module names the implementations.

A data folder has the embedded log, which is SQLite files with one writer. Where `shared` names servers of NATS
(TIDEMILL_LOG), the log is there instead, and several processes append to it.
"""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tidemill.clock import Trust
from tidemill.errors import LogCorruptError
from tidemill.log.at_rest import LogFiles
from tidemill.log.contract import BacklogReader, IntakeLog, LogReader
from tidemill.log.limits import LogLimits
from tidemill.log.partitioned import LogOfPartition, PartitionedLog, PartitionedReader
from tidemill.log.partitions import log_folder, partition_count
from tidemill.log.sqlite import ShutLog, SqliteLog, SqliteLogReader
from tidemill.log.sqlite.files import SqliteLogFiles

if TYPE_CHECKING:
    from tidemill.log.jetstream import JetStreamLink
    from tidemill.log.jetstream.names import StreamNames

_log = logging.getLogger(__name__)
_REPLICAS: Final = 3


def open_log(data: Path, known: Sequence[int], *, limits: LogLimits, trust: Trust, shared: str = "") -> IntakeLog:
    """Open the log as its one writer, or the `shared` one as one of its writers. `known`: the newest offset of each
    partition that the store or a checkpoint names.

    A damaged partition stays readable and refuses payloads. Raises StartupError (another owner, network file system;
    no server of NATS answers, or one does not sync).
    """
    if shared:
        return _open_shared(shared, known, limits)

    def open_for_writing(number: int, known_offset: int) -> LogOfPartition:
        folder = log_folder(data, number)
        try:
            return SqliteLog(folder, limits=limits, known_offset=known_offset, trust=trust, partition=number)
        except LogCorruptError as error:  # report it: another start would change nothing
            _log.error("payloads are refused: %s", error.message)
            return ShutLog(folder, error, number)

    logs = [open_for_writing(number, offset) for number, offset in enumerate(known)]
    return logs[0] if len(logs) == 1 else PartitionedLog(logs)


def _open_shared(shared: str, known: Sequence[int], limits: LogLimits) -> IntakeLog:
    from tidemill.log.jetstream import JetStreamLog, parse_log_address
    from tidemill.log.jetstream.streams import check_nodes

    address = parse_log_address(shared)
    replicas = min(_REPLICAS, check_nodes(address.monitors))
    logs = [
        JetStreamLog(
            _link(address.servers),
            _names(address.name, number),
            replicas=replicas,
            limits=limits,
            known_offset=offset,
            monitors=address.monitors,
        )
        for number, offset in enumerate(known)
    ]
    return logs[0] if len(logs) == 1 else PartitionedLog(logs)


@cache
def _link(servers: tuple[str, ...]) -> "JetStreamLink":
    """The connection of this process to some servers."""
    from tidemill.log.jetstream import JetStreamLink

    return JetStreamLink(servers)


def _names(name: str, partition: int) -> "StreamNames":
    from tidemill.log.jetstream.names import StreamNames

    return StreamNames(name, partition)


def _shared_reader(shared: str, partition: int, *, quiet: bool = False) -> BacklogReader:
    from tidemill.log.jetstream import JetStreamLogReader, parse_log_address

    address = parse_log_address(shared)
    return JetStreamLogReader(_link(address.servers), _names(address.name, partition), quiet=quiet)


def open_partition_reader(data: Path, partition: int, shared: str = "") -> BacklogReader:
    """A reader of one partition for the mill; the partition's files need not exist yet."""
    if shared:
        return _shared_reader(shared, partition)
    return SqliteLogReader(log_folder(data, partition))


def open_log_reader(data: Path, shared: str = "") -> LogReader:
    """A reader of all partitions; it reports damage in `known_damages` only, not in the server's log."""
    count = partition_count(data)
    if shared:
        return PartitionedReader([_shared_reader(shared, number, quiet=True) for number in range(count)])
    return PartitionedReader([SqliteLogReader(log_folder(data, number), quiet=True) for number in range(count)])


def log_files(data: Path, count: int | None = None) -> LogFiles:
    """The files of the log of a data folder, with `count` partitions (None: the number that is kept in the folder)."""
    return SqliteLogFiles(data, partition_count(data) if count is None else count)
