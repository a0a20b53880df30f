"""Jobs in any Catalog, one key each: `<kind>/<tenant>/<id>`. Ids are UUIDv7, so they sort by time.

The API makes jobs and may cancel one; the role that runs a kind's jobs makes all other changes. Every change uses
compare-and-set. Jobs that are over are kept for a while (`prune`), and at most MAX_KEPT of a tenant and kind.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from tidemill.catalog.contract import Catalog, CatalogEntry
from tidemill.errors import ConflictError, NotFoundError
from tidemill.model.job import CANCELLABLE, OVER, UNDER_WAY, AnyJob, State
from tidemill.model.job_kinds import JOBS

MAX_KEPT: Final = 1_000  # jobs that are over, of a tenant and a kind: listing jobs reads them all
JobT = TypeVar("JobT", bound=AnyJob)


class _Head(msgspec.Struct, frozen=True):
    """The fields that are read of every job, without request and result."""

    state: State
    id: str
    tenant: str
    created_ns: int
    finished_ns: int | None = None


class CatalogJobs(Generic[JobT]):
    """The jobs of one kind, of all tenants. Every method raises what the catalog raises."""

    def __init__(self, catalog: Catalog, kind: type[JobT]) -> None:
        self._catalog = catalog
        self._type = kind
        self._prefix = kind.PREFIX

    def create(self, job: JobT) -> None:
        """Store a new job, durable on return; removes the oldest jobs of its tenant that are over beyond MAX_KEPT."""
        self._catalog.put(self._key(job.tenant, job.id), msgspec.json.encode(job), expect=0)
        over = [head for head in self._heads(job.tenant) if head.state in OVER]
        for head in over[:-MAX_KEPT]:
            self._remove(head)

    def get(self, tenant: str, job: str) -> JobT:
        """One job. Raises NotFoundError."""
        entry = self._catalog.get(self._key(tenant, job))
        if entry is None:
            raise NotFoundError(f"there is no {self._word} '{job[:64]}'")
        return self._decode(entry)

    def under_way(self) -> list[JobT]:
        """The jobs of all tenants that are not over, oldest first; decodes no result of the others."""
        entries = self._catalog.list(self._prefix)
        due = [entry for entry in entries if msgspec.json.decode(entry.value, type=_Head).state in UNDER_WAY]
        return sorted(map(self._decode, due), key=lambda job: job.id)

    def list(self, tenant: str | None = None) -> list[JobT]:
        """All jobs of a tenant, or of all, oldest first."""
        return sorted(map(self._decode, self._entries(tenant)), key=lambda job: job.id)

    def page(self, tenant: str, state: State | None, before: str | None, count: int) -> Sequence[JobT]:
        """The newest `count` jobs of a tenant, newest first; if given, only jobs in `state`, with ids before
        `before`."""
        heads = [head for head in self._heads(tenant) if state in (None, head.state)]
        ids = [head.id for head in heads if before is None or head.id < before]
        entries = (self._catalog.get(self._key(tenant, job)) for job in ids[: -count - 1 : -1])
        return [self._decode(entry) for entry in entries if entry is not None]

    def summary(self) -> tuple[Counter[State], int | None]:
        """(the number of jobs of all tenants by state, when the oldest queued job was made, in ns since the epoch, or
        None: none is queued)."""
        heads = self._heads()
        queued_ns = min((head.created_ns for head in heads if head.state == "queued"), default=None)
        return Counter(head.state for head in heads), queued_ns

    def change(self, job: JobT, *, only: Collection[State] = UNDER_WAY, **changes: Any) -> JobT:
        """Write these changes of a job; changes that other processes made meanwhile stay.

        Raises NotFoundError, and ConflictError when the job's state is not in `only` (such as a cancelled job).
        """
        return self.edit(job, lambda now: msgspec.structs.replace(now, **changes), only=only)

    def edit(self, job: JobT, edited: Callable[[JobT], JobT], *, only: Collection[State] = UNDER_WAY) -> JobT:
        """Write the result of `edited` for the job's present state; `edited` may be called again. Raises as `change`
        does."""
        while True:
            entry = self._catalog.get(self._key(job.tenant, job.id))
            if entry is None:
                raise NotFoundError(f"there is no {self._word} '{job.id[:64]}'")
            now = self._decode(entry)
            if now.state not in only:
                raise ConflictError(f"{self._word} {now.id} is {now.state}")
            changed = edited(now)
            try:
                self._catalog.put(entry.key, msgspec.json.encode(changed), expect=entry.revision)
            except ConflictError:
                continue  # another process changed the job meanwhile: read it again
            return changed

    def cancel(self, tenant: str, job: str, now_ns: int) -> JobT:
        """Cancel a job while readers see no part of its result. Raises NotFoundError, and ConflictError when it is too
        late."""
        return self.change(self.get(tenant, job), only=CANCELLABLE, state="cancelled", finished_ns=now_ns)

    def prune(self, ended_before_ns: int, newest: int) -> int:
        """Remove jobs that were over before this time (ns since the epoch), except for the `newest` jobs of each tenant
        that are over; returns how many were removed."""
        over = [head for head in self._heads() if head.state in OVER]
        kept = Counter(head.tenant for head in over)
        beyond = []
        for head in over:  # the oldest first
            if kept[head.tenant] > newest:
                kept[head.tenant] -= 1
                beyond.append(head)
        old = [head for head in beyond if (head.finished_ns or head.created_ns) < ended_before_ns]
        for head in old:
            self._remove(head)
        return len(old)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` within about a second after any job changed; returns a function that ends the watch."""
        return self._catalog.watch(self._prefix, changed)

    @property
    def _word(self) -> str:
        return self._type.__name__.lower()

    def _remove(self, head: _Head) -> None:
        self._catalog.delete(self._key(head.tenant, head.id))

    def _heads(self, tenant: str | None = None) -> Sequence[_Head]:
        heads = (msgspec.json.decode(entry.value, type=_Head) for entry in self._entries(tenant))
        return sorted(heads, key=lambda head: head.id)

    def _entries(self, tenant: str | None) -> Sequence[CatalogEntry]:
        return self._catalog.list(self._prefix if tenant is None else f"{self._prefix}{tenant}/")

    def _decode(self, entry: CatalogEntry) -> JobT:
        return msgspec.json.decode(entry.value, type=self._type)

    def _key(self, tenant: str, job: str) -> str:
        return f"{self._prefix}{tenant}/{job.replace('/', '%2F')}"


def jobs_of_kinds(catalog: Catalog, kind: str | None = None) -> dict[str, CatalogJobs[AnyJob]]:
    """The jobs of every kind, or of one kind, by kind."""
    return {name: CatalogJobs(catalog, job) for name, job in JOBS.items() if kind in (None, name)}
