"""`tidemill health`: asks `/readyz` once, for a container's health check or a person.

It needs no key, and nothing of the server but the standard library, so that a check every few seconds costs little.
"""

from typing import Annotated

import typer

from tidemill.cli.common import DEFAULT_URL, UrlOption, err, out
from tidemill.readiness import read_readiness


def show_health(
    url: UrlOption = DEFAULT_URL,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.1)] = 3.0,
) -> None:
    """Say whether a server can acknowledge payloads: exit status 0 if so, 1 if not or if nothing answers.

    What does not work as it should is printed, a line each. No key is needed; once keys exist, details are for
    administrators only.

    Example: `tidemill health --url http://127.0.0.1:8080`
    """
    try:
        answer = read_readiness(url, timeout)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        err.print(f"{url} does not answer: {reason}. Name the server with --url or TIDEMILL_URL.", highlight=False)
        raise typer.Exit(1) from None
    for sentence in answer.get("degraded", []):
        out.print(sentence, highlight=False, markup=False)
    ready = answer.get("ready") is True
    out.print("ready" if ready else "not ready: nothing can be acknowledged", highlight=False)
    raise typer.Exit(0 if ready else 1)
