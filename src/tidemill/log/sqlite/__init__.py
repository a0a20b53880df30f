"""The embedded log: one SQLite file a partition. Only `log/opening.py` names it."""

from tidemill.log.sqlite.log import SqliteLog
from tidemill.log.sqlite.reader import SqliteLogReader
from tidemill.log.sqlite.shut import ShutLog

__all__ = ["ShutLog", "SqliteLog", "SqliteLogReader"]
