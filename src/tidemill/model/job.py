"""A job: long work with an id, progress and a result, which no request waits for. The fields of all kinds of jobs.

The kinds are subclasses (`Replay`, `Verification`) that define the request and the result; `model/job_kinds.py` lists
them. A job is kept in the catalog, shown by the API, and run by the role that its kind names.
"""

from typing import Any, ClassVar, Final, Generic, Literal, TypeVar, get_args

import msgspec

State = Literal["queued", "running", "publishing", "done", "failed", "cancelled"]
Role = Literal["mill", "worker"]
STATES: Final[tuple[State, ...]] = get_args(State)
OVER: Final[frozenset[State]] = frozenset({"done", "failed", "cancelled"})
QUEUED: Final[frozenset[State]] = frozenset({"queued"})
RUNNING: Final[frozenset[State]] = frozenset({"running"})
UNDER_WAY: Final[frozenset[State]] = frozenset({"queued", "running", "publishing"})
CANCELLABLE: Final[frozenset[State]] = frozenset({"queued", "running"})  # readers see no part of its result yet

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")


class Job(msgspec.Struct, Generic[RequestT, ResultT], frozen=True, kw_only=True):
    """A job of one tenant. Times in ns since the epoch, UTC; null: not yet. `done` of `total` payloads are processed;
    `step` names the present step ("": none). `error` says why the job failed, `code` is the error's code. `attempts`:
    how often work on the job began and broke off. `result` is null until the job is done.

    A subclass is a kind: `kind` is its name, `PREFIX` the prefix of its keys in the catalog, `ROLE` the process that
    runs its jobs. One role runs all jobs of a kind.
    """

    PREFIX: ClassVar[str]
    ROLE: ClassVar[Role]

    id: str
    tenant: str
    kind: str
    request: RequestT
    state: State
    created_ns: int
    started_ns: int | None = None
    finished_ns: int | None = None
    total: int = 0
    done: int = 0
    step: str = ""
    error: str = ""
    code: str = ""
    attempts: int = 0
    result: ResultT | None = None


AnyJob = Job[Any, Any]
