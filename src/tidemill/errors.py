"""The tree of Tidemill's errors. They have no part of HTTP: `api/problems.py` is the table that maps them.

    TidemillError
    ├── InputError            the input is faulty; carries every Fault
    │   ├── FeedDefinitionError   a feed definition is faulty
    │   │   └── FeedDamagedError  the catalog's copy of a definition is not what was written
    │   ├── LimitError            a stated limit was exceeded; names it
    │   │   └── TooBigQuestionError   and the nearest questions that can be answered
    │   └── SeriesError           a series is not fit for the question
    │       ├── NotEnoughPointsError  it has too few points; says how many are needed
    │       └── UnevenSamplingError   its points have no common interval
    ├── NotFoundError         no such thing for this tenant
    │   └── GoneError             it existed, and was deleted on request
    ├── ConflictError         same key, other content; or a lost compare-and-set
    ├── AccessError           no key, unknown key, or a key without the scope
    ├── UnavailableError      a part is not available now; try again after `retry_after_s`
    │   ├── LogUnavailableError
    │   │   ├── DiskFullError
    │   │   └── LogDamagedError
    │   └── StoreUnavailableError
    │       └── LostPartitionError  another mill owns a mill's partition, which the mill writes no more
    ├── LogCorruptError       the log is shorter than it was, or damaged; a person has to decide
    ├── LogLacksError         this kind of log cannot do the operation
    ├── StoreQueryError       the store refused a query; carries its code
    │   └── StoreDamagedError     a part of a table is damaged, and the query needs it
    ├── DamagedError          a stored thing does not match its checksum
    ├── BackupError           a backup could not be made, or is damaged; nothing was changed
    ├── MissingPackageError   what was asked for needs a package that is not installed; says which
    └── StartupError          a process cannot start; says what to do next

Every error has a stable `code` (class attribute unless given) and a message that says what failed, where, and
what to do next.
"""

from collections.abc import Mapping

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One fault of an input: its path (`$.data[17]`), a stable code, and a sentence."""

    path: str
    code: str
    message: str


def count_of_faults(count: int, *, more: bool = False) -> str:
    """`1 fault`, `3 faults`; with `more`, `1 more fault`."""
    return f"{count}{' more' if more else ''} fault{'' if count == 1 else 's'}"


class TidemillError(Exception):
    """The root of every error that Tidemill raises on purpose."""

    code: str = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(TidemillError):
    """The input cannot be accepted; `faults` are all its faults."""

    code = "invalid"

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class FeedDefinitionError(InputError):
    """A feed definition is faulty; each fault's path is `file:line: key` or the key."""

    code = "feed_invalid"


class FeedDamagedError(FeedDefinitionError):
    """A stored definition is not the text that was applied: its sha256 differs. The request is not at fault."""

    code = "feed_damaged"


class LimitError(InputError):
    """A stated limit was exceeded: `limit` is its name, `allowed` its value (bytes, seconds or a count)."""

    code = "limit"

    def __init__(self, limit: str, allowed: float, message: str) -> None:
        super().__init__(message, (Fault("$", limit, message),))
        self.limit = limit
        self.allowed = allowed


class NearestQuestion(msgspec.Struct, frozen=True):
    """A question that can be answered in place of one that is too big: a sentence, and the parameters to change (null:
    to leave out). `every`: the windows that say the same on a route without the parameter `points`."""

    says: str
    changes: Mapping[str, str | None]
    every: str | None = None


class TooBigQuestionError(LimitError):
    """A question exceeds a limit; `nearest` can be answered."""

    def __init__(self, limit: str, allowed: float, message: str, nearest: tuple[NearestQuestion, ...]) -> None:
        super().__init__(limit, allowed, message)
        self.nearest = nearest


class SeriesError(InputError):
    """The points of a series are not fit for the question that was put to them; the message says what is."""

    code = "series_unfit"

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        """Without `faults` the whole question is at fault."""
        super().__init__(message, faults or (Fault("$", self.code, message),))


class NotEnoughPointsError(SeriesError):
    """The series has `present` points, and the question needs at least `needed`."""

    code = "not_enough_points"

    def __init__(self, present: int, needed: int, message: str) -> None:
        super().__init__(message)
        self.present = present
        self.needed = needed


class UnevenSamplingError(SeriesError):
    """The points of the series have no common interval: fixed windows of it have."""

    code = "uneven_sampling"


class NotFoundError(TidemillError):
    """No such thing for this tenant (a thing of another tenant gives the same error)."""

    code = "not_found"


class GoneError(NotFoundError):
    """The thing existed and was deleted on request."""

    code = "gone"


class FeedRemovedError(NotFoundError):
    """The feed existed and was removed. What is said in the message became of its data."""

    code = "feed_removed"


class ConflictError(TidemillError):
    """The same idempotency key with another body, or a lost compare-and-set."""

    code = "conflict"


class AccessError(TidemillError):
    """A key is needed, and the request has none, an unknown key, or a key without the scope."""

    code = "unauthorized"

    def __init__(self, message: str, *, missing_scope: str | None = None) -> None:
        super().__init__(message)
        self.missing_scope = missing_scope


class UnavailableError(TidemillError):
    """A part is not available now; the same request can succeed after `retry_after_s` seconds."""

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
    """The store refuses a mill that lost its partition to another mill. It has to end; the other mill goes on."""

    code = "partition_lost"


class LogCorruptError(TidemillError):
    """The log is shorter than it was, or its tail does not verify. To go on serving would hide a loss."""

    code = "log_corrupt"


class LogLacksError(TidemillError):
    """The log of this server is of a kind that cannot do this operation; nothing was changed. A retry fails, too."""

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
    """The thing is stored, and no stored copy of it matches its checksum."""

    code = "damaged"


class BackupError(TidemillError):
    """A backup could not be made or restored, or is damaged. The message names the file and the next step."""

    code = "backup"


class MissingPackageError(TidemillError):
    """What was asked for needs a package that is not installed; the message names it."""

    code = "package_missing"


class StartupError(TidemillError):
    """A process cannot start. The message names the cause and the next step."""

    code = "startup"
