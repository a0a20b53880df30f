"""Opens the log of a data folder; no other module names the implementations.

Every data folder has the embedded log, which is SQLite files.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from tidemill.clock import Trust
from tidemill.errors import LogCorruptError
from tidemill.log.at_rest import LogFiles
from tidemill.log.contract import BacklogReader, IntakeLog, LogReader
from tidemill.log.limits import LogLimits
from tidemill.log.partitioned import LogOfPartition, PartitionedLog, PartitionedReader
from tidemill.log.partitions import log_folder, partition_count
from tidemill.log.sqlite import ShutLog, SqliteLog, SqliteLogReader
from tidemill.log.sqlite.files import SqliteLogFiles

_log = logging.getLogger(__name__)


def open_log(data: Path, known: Sequence[int], *, limits: LogLimits, trust: Trust) -> IntakeLog:
    """Open the log as its one writer. `known`: the newest offset of each partition that the store or a checkpoint
    names.

    A damaged partition stays readable and refuses payloads. Raises StartupError (another owner, network file system).
    """

    def open_for_writing(number: int, known_offset: int) -> LogOfPartition:
        folder = log_folder(data, number)
        try:
            return SqliteLog(folder, limits=limits, known_offset=known_offset, trust=trust, partition=number)
        except LogCorruptError as error:  # report it: another start would change nothing
            _log.error("payloads are refused: %s", error.message)
            return ShutLog(folder, error, number)

    logs = [open_for_writing(number, offset) for number, offset in enumerate(known)]
    return logs[0] if len(logs) == 1 else PartitionedLog(logs)


def open_partition_reader(data: Path, partition: int) -> BacklogReader:
    """A reader of one partition for the mill; the partition's files need not exist yet."""
    return SqliteLogReader(log_folder(data, partition))


def open_log_reader(data: Path) -> LogReader:
    """A reader of all partitions; it reports damage in `known_damages` only, not in the server's log."""
    count = partition_count(data)
    return PartitionedReader([SqliteLogReader(log_folder(data, number), quiet=True) for number in range(count)])


def log_files(data: Path, count: int | None = None) -> LogFiles:
    """The files of the log of a data folder, with `count` partitions (None: the number that is kept in the folder)."""
    return SqliteLogFiles(data, partition_count(data) if count is None else count)
