"""Opens the log of a data folder: the one place that names the implementations.

Today a data folder has the embedded log, SQLite files, whatever its settings.
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
    """The log as its owner opens it. `known`: the newest offset of each partition that anybody else knows of.

    A partition that is damaged is read on, and acknowledges nothing. Raises StartupError (another owner, network file
    system).
    """

    def opened(number: int, known_seq: int) -> LogOfPartition:
        folder = log_folder(data, number)
        try:
            return SqliteLog(folder, limits=limits, known_seq=known_seq, trust=trust, partition=number)
        except LogCorruptError as error:  # say so: a start again would change nothing
            _log.error("payloads are refused: %s", error.message)
            return ShutLog(folder, error, number)

    logs = [opened(number, known_seq) for number, known_seq in enumerate(known)]
    return logs[0] if len(logs) == 1 else PartitionedLog(logs)


def open_partition(data: Path, partition: int) -> BacklogReader:
    """One partition to be worked off; it need not be there yet."""
    return SqliteLogReader(log_folder(data, partition))


def open_reader(data: Path) -> LogReader:
    """All partitions, to be looked through: damage is not named in the server's log, only in `known_damages`."""
    count = partition_count(data)
    return PartitionedReader([SqliteLogReader(log_folder(data, number), quiet=True) for number in range(count)])


def log_files(data: Path, count: int | None = None) -> LogFiles:
    """The files of the log, of `count` partitions (null: as the folder says)."""
    return SqliteLogFiles(data, partition_count(data) if count is None else count)
