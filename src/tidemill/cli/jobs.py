"""`tidemill jobs ...`: the long work of a server: list it, follow one job, cancel one."""

from typing import Annotated, Any, Final

import typer
from rich.table import Table

from tidemill.cli.common import DEFAULT_URL, KeyOption, UrlOption, out, progress_bar
from tidemill.cli.remote import Remote
from tidemill.errors import TidemillError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Jobs: long work that goes on at a server while you do something else. A replay puts payloads through the "
    "rules again (`tidemill replay start`); a verification proves that everything is accounted for "
    "(`tidemill verify --url`); a forecast that took longer than its request waited is made and stored "
    "(`tidemill forecast --store`).",
)

IdArgument = Annotated[str, typer.Argument(help="The job's id, as `tidemill jobs list` shows it.", metavar="ID")]
_PAGE: Final = 100
_OVER: Final = ("done", "failed", "cancelled")


@app.command("list")
def list_jobs(
    kind: Annotated[
        str, typer.Option(help="Only jobs of this kind: replay, verify or forecast.", show_default="all")
    ] = "",
    state: Annotated[
        str,
        typer.Option(
            help="Only jobs in this state: queued, running, publishing, done, failed or cancelled.", show_default="all"
        ),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = "",
) -> None:
    """List jobs, newest first.

    Example: `tidemill jobs list --state running`
    """
    table = Table("id", "kind", "of", "state", "done", "created", "result", box=None)
    for job in _listed(Remote(url, key), {"kind": kind, "state": state}, limit):
        progress = job["progress"]
        table.add_row(
            job["id"],
            job["kind"],
            job["request"].get("series") or job["request"].get("feed") or "all",
            job["state"],
            f"{progress['done']} of {progress['total']}",
            job["created_at"][:19],
            _in_short(job),
        )
    out.print(table)


@app.command("show")
def show_job(id: IdArgument, url: UrlOption = DEFAULT_URL, key: KeyOption = "") -> None:
    """Follow a job to its end, and print what came of it.

    Ctrl-C ends the command, not the job. Exit status 1 for a job that failed or was cancelled, and for a verification
    that does not add up. Example: `tidemill jobs show 01936b1e-...`
    """
    server = Remote(url, key)
    job = follow_job(server, "/v1/jobs", server.document("GET", f"/v1/jobs/{id}"))
    if job["state"] != "done":
        raise TidemillError(
            f"Job {job['id']} ({job['kind']}) is {job['state']}: {job['error'] or 'it changed nothing'}"
        )
    if job["kind"] == "replay":
        from tidemill.cli.replay import render_difference

        request = job["request"]
        out.print(render_difference(job["id"], job["result"], request["version"], dry_run=request["dry_run"]))
    elif job["kind"] == "forecast":
        out.print(f"{_in_short(job)}: tidemill forecast --score {job['result']['forecast']}", highlight=False)
    else:
        from tidemill.cli.verify import print_report

        print_report(job["result"])
        if not job["result"]["adds_up"]:
            raise typer.Exit(1)


@app.command("cancel")
def cancel_job(id: IdArgument, url: UrlOption = DEFAULT_URL, key: KeyOption = "") -> None:
    """Cancel a job of which nothing is to be seen yet; it leaves no trace.

    A replay that is being published cannot be cancelled. Example: `tidemill jobs cancel 01936b1e-...`
    """
    job = Remote(url, key).document("DELETE", f"/v1/jobs/{id}")
    out.print(f"job {job['id']} ({job['kind']}) is {job['state']}", highlight=False)


def follow_job(server: Remote, path: str, job: dict[str, Any]) -> dict[str, Any]:
    """Wait until a job is over, with a progress bar; returns its document then. `path`: that of the jobs of its kind;
    `job`: its document now."""
    with progress_bar() as show_progress:
        while job["state"] not in _OVER:
            progress = job["progress"]
            show_progress(progress.get("step") or job["state"], progress["done"], progress["total"])
            job = server.document("GET", f"{path}/{job['id']}", headers={"Prefer": "wait=0.5"})
    return job


def _listed(server: Remote, wanted: dict[str, str], most: int) -> list[dict[str, Any]]:
    """The newest jobs, at most `most`, read page by page."""
    only: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    jobs: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None and len(jobs) < most:
        params = only | {"limit": min(_PAGE, most - len(jobs))} | ({"cursor": cursor} if cursor else {})
        page = server.document("GET", "/v1/jobs", params=params)
        jobs += page["items"]
        cursor = page["next"]
    return jobs


def _in_short(job: dict[str, Any]) -> str:
    """The result of a job, in a few words."""
    result = job["result"]
    if result is None:
        return job["error"] or ""
    if job["kind"] == "verify":
        findings = sum(result["counts"].values())
        return "adds up" if result["adds_up"] else f"{findings} finding{'s'[: findings != 1]}"
    if job["kind"] == "forecast":
        return f"forecast {result['forecast']}"
    dry = "dry run: " if job["request"]["dry_run"] else ""
    return f"{dry}{result['newly_accepted_total']} accepted, {result['newly_rejected_total']} rejected anew"
