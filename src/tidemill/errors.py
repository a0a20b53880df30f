"""The one tree of errors. The core raises these; it knows no HTTP.

    TidemillError
    ├── InputError            what was sent is at fault; carries every Fault found
    │   ├── FeedDefinitionError   a feed file is at fault
    │   │   └── FeedDamagedError  the catalog's copy of one is not what was written
    │   └── LimitError            a stated limit was exceeded; names it
    ├── NotFoundError         no such thing for this tenant
    │   └── GoneError             it was, and was deleted on request
    ├── ConflictError         same key, other content; or a lost compare-and-set
    ├── AccessError           no key, unknown key, or a key without the scope
    ├── UnavailableError      a part is not there now; try again after `retry_after_s`
    │   ├── LogUnavailableError
    │   │   ├── DiskFullError
    │   │   └── LogDamagedError
    │   └── StoreUnavailableError
    │       └── LostPartitionError  a mill's partition is another mill's; nothing of it is written any more
    ├── LogCorruptError       the log is not what it was; needs a person
    ├── LogLacksError         this kind of log cannot do what was asked of it
    ├── StoreQueryError       the store refused a query; carries its code
    │   └── StoreDamagedError     a part of a table is damaged, and the query needs it
    ├── DamagedError          what was asked for is damaged where it is kept
    ├── BackupError           a backup could not be made, or is not what it was; nothing was changed
    └── StartupError          a process cannot start; says what to do next

Every error has a stable `code` (class attribute unless given) and a message that says what failed, where, and
what to do next. `api/problems.py` is the one table that maps them to HTTP.
"""

from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with what was sent: where (`$.data[17]`), which stable code, and a sentence."""

    path: str
    code: str
    message: str


def count_of_faults(count: int, *, more: bool = False) -> str:
    """`1 fault`, `3 faults`; with `more`, `1 more fault`."""
    return f"{count}{' more' if more else ''} fault{'' if count == 1 else 's'}"


class TidemillError(Exception):
    """The root of every error that Tidemill raises on purpose."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(TidemillError):
    """What was sent cannot be taken; `faults` names everything that is wrong with it."""

    code = "invalid"

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class FeedDefinitionError(InputError):
    """A feed definition is at fault; each fault's path is `file:line: key` or the key."""

    code = "feed_invalid"


class FeedDamagedError(FeedDefinitionError):
    """A kept definition is not the text that was applied: its sha256 is another. Nobody's request is at fault."""

    code = "feed_damaged"


class LimitError(InputError):
    """A stated limit was exceeded: `limit` is its name, `allowed` its value (bytes, seconds or a count)."""

    code = "limit"

    def __init__(self, limit: str, allowed: float, message: str) -> None:
        super().__init__(message, (Fault("$", limit, message),))
        self.limit = limit
        self.allowed = allowed


class NotFoundError(TidemillError):
    """No such thing for this tenant (another tenant's thing looks the same)."""

    code = "not_found"


class GoneError(NotFoundError):
    """It was there and was deleted on request."""

    code = "gone"


class ConflictError(TidemillError):
    """The same idempotency key with another body, or a lost compare-and-set."""

    code = "conflict"


class AccessError(TidemillError):
    """Keys are needed and none, an unknown one, or one without the needed scope was given."""

    code = "unauthorized"

    def __init__(self, message: str, *, missing_scope: str | None = None) -> None:
        super().__init__(message)
        self.missing_scope = missing_scope


class UnavailableError(TidemillError):
    """A part is not there now; the same request can succeed after `retry_after_s` seconds."""

    code = "unavailable"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LogUnavailableError(UnavailableError):
    """The log could not make the payload durable; nothing was acknowledged."""

    code = "log_unavailable"


class DiskFullError(LogUnavailableError):
    """Too little free disk to acknowledge anything; reads go on."""

    code = "disk_full"


class LogDamagedError(LogUnavailableError):
    """A part of the log's file is damaged, and this read needs it."""


class StoreUnavailableError(UnavailableError):
    """The store cannot be reached; acknowledgements go on."""

    code = "store_unavailable"


class LostPartitionError(StoreUnavailableError):
    """The store refuses a mill that lost its partition to another one. It has to end; what it left, the other does."""

    code = "partition_lost"


class LogCorruptError(TidemillError):
    """The log is shorter than it once was, or its tail does not verify. Serving on would hide a loss."""

    code = "log_corrupt"


class LogLacksError(TidemillError):
    """The log of this server is of a kind that cannot do this; nothing was changed. Asking again changes nothing."""

    code = "log_lacks"


class StoreQueryError(TidemillError):
    """The store refused a query. `store_code` is ClickHouse's error code (for instance 241, memory)."""

    code = "store_query"

    def __init__(self, store_code: int, message: str) -> None:
        super().__init__(message)
        self.store_code = store_code


class StoreDamagedError(StoreQueryError):
    """A part of a table is damaged on disk; the message names both."""

    code = "damaged"


class DamagedError(TidemillError):
    """What was asked for is kept, and is not what it was: nothing that is kept of it matches its checksum."""

    code = "damaged"


class BackupError(TidemillError):
    """A backup could not be made or put back, or is damaged. The message names the file and the next step."""

    code = "backup"


class StartupError(TidemillError):
    """A process cannot start. The message names the cause and the next step."""

    code = "startup"
