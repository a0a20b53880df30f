"""The embedded log: one SQLite file a partition. Named by `log/opening.py` alone."""

from tidemill.log.sqlite.log import SqliteLog
from tidemill.log.sqlite.reader import SqliteLogReader
from tidemill.log.sqlite.shut import ShutLog

__all__ = ["ShutLog", "SqliteLog", "SqliteLogReader"]
