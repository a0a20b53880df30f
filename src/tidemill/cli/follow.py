"""Follows a job of a server to its end, with a bar of progress meanwhile."""

from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tidemill.cli.common import err
from tidemill.cli.remote import Remote

_OVER: Final = ("done", "failed", "cancelled")


def follow_job(server: Remote, path: str, job: dict[str, Any]) -> dict[str, Any]:
    """The document of a job when it is over; `path` is where those of its kind are, `job` the document as it is now."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task(job["state"], total=None)
        while job["state"] not in _OVER:
            job = server.document("GET", f"{path}/{job['id']}", headers={"Prefer": "wait=0.5"})
            done, total = job["progress"]["done"], job["progress"]["total"]
            step = job["progress"].get("step") or job["state"]
            progress.update(bar, description=step, completed=done, total=total or None)
    return job
