"""The contract between the worker and the work on one kind of job."""

from collections.abc import Callable
from typing import Any, Protocol

from tidemill.catalog.jobs import CatalogJobs

Progress = Callable[[str, int, int], None]  # the current step, how many payloads are done, of how many


class JobStoppedError(Exception):
    """The job was cancelled, or the process is ending. `Progress` raises it; the work lets it through."""


class JobWork(Protocol):
    """The work on one kind of job. `Any` stands for the kind's own job class: the worker uses only what all kinds have
    in common."""

    @property
    def jobs(self) -> CatalogJobs[Any]:
        """The jobs of this kind."""

    def carry_out(self, job: Any, progress: Progress) -> None:
        """Do a running job from its beginning, and record that it is done. Doing it twice has the effect of once.

        Calls `progress` at least every few seconds, and lets JobStoppedError through. Raises any other error when the
        job cannot be done: after UnavailableError the worker begins it again a few times.
        """

    def is_retried(self, job: Any) -> bool:
        """Whether the worker begins a job again whose work raised UnavailableError."""
