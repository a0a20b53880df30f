"""A job: long work with an id, progress and a result, which no request waits for. What all kinds of jobs have.

The kinds are subclasses (`Replay`, `Verification`) that say what is asked for and what comes of it; they are listed in
`model/job_kinds.py`. A job is kept in the catalog, shown by the API, and worked on by the role that its kind names.
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
CANCELLABLE: Final[frozenset[State]] = frozenset({"queued", "running"})  # nobody sees anything of it yet

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")


class Job(msgspec.Struct, Generic[RequestT, ResultT], frozen=True, kw_only=True):
    """A job of one tenant. Times in ns since the epoch, UTC; null: not yet. `done` of `total` payloads are through;
    `step` is what it is at ("": nothing to say). `error` says in words why it failed, `code` is that of the error.
    `attempts`: how often work on it began and did not end in good order. `result` is null until it is done.

    A subclass is a kind: `kind` is its name, `PREFIX` where the catalog keeps its jobs, `ROLE` which process works on
    them. Several roles never work on one kind.
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
