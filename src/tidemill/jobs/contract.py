"""What does the jobs of one kind, as the worker uses it."""

from collections.abc import Callable
from typing import Any, Protocol

from tidemill.catalog.jobs import CatalogJobs

Progress = Callable[[str, int, int], None]  # what the work is at, how many payloads are through, of how many


class JobStoppedError(Exception):
    """The job was cancelled, or the process is ending. Raised by `Progress`; the work lets it through."""


class JobWork(Protocol):
    """The work on one kind of job. `Any` stands for the kind's own job: the worker never looks into what is particular
    to a kind."""

    @property
    def jobs(self) -> CatalogJobs[Any]:
        """The jobs of this kind."""

    def carry_out(self, job: Any, progress: Progress) -> None:
        """Do a job that is running, from its beginning, and write that it is done. Doing it twice changes nothing.

        Calls `progress` at least every few seconds, and lets JobStoppedError through. Raises any other error when the
        job cannot be done: after UnavailableError it is begun again a few times.
        """

    def is_retried(self, job: Any) -> bool:
        """Whether a job whose work met with UnavailableError is begun again."""
