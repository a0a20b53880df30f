"""`tidemill send`: sends one payload to a feed, once in effect, and says what became of it."""

import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from tidemill.cli.common import DEFAULT_URL, AnyKeyOption, UrlOption, err, out
from tidemill.cli.points_options import check_choice, open_client
from tidemill.errors import InputError

_PATIENCE_S: Final = 60.0


def send(
    feed: Annotated[str, typer.Argument(help="The feed.")],
    file: Annotated[str, typer.Argument(help="The payload's file; - is standard input.")] = "-",
    wait: Annotated[float, typer.Option(help="Seconds to wait until it is applied; 0: until it is durable.")] = 5,
    content_type: Annotated[
        str, typer.Option(help="Such as application/x-ndjson.", show_default="by a look at the bytes")
    ] = "",
    idempotency_key: Annotated[
        str, typer.Option(help="Of several payloads with this key one counts.", show_default="a new one")
    ] = "",
    format: Annotated[str, typer.Option(help="text, or json: the receipt.")] = "text",
    url: UrlOption = DEFAULT_URL,
    key: AnyKeyOption = "",
) -> None:
    """Send one payload to a feed, and again while the server is busy or not there, with the effect of once.

    Exit status 2: the feed refused it. Example: `tidemill send pumps readings.json`
    """
    from tidemill.client import InputProblemError

    check_choice("--format", format, ("text", "json"))
    body = _read_payload(file)
    with open_client(url, key, patience_s=_PATIENCE_S) as client:
        try:
            receipt = client.send(
                feed,
                body,
                wait=wait or None,
                content_type=content_type or None,
                idempotency_key=idempotency_key or None,
            )
        except InputProblemError as problem:
            if problem.receipt:
                err.print(f"The bytes are kept as payload {problem.receipt}.", highlight=False, soft_wrap=True)
            raise
    if format == "json":
        print(msgspec.json.encode(receipt).decode())
        return
    counts = ""
    if receipt.accepted is not None:
        reasons = ", ".join(f"{reason} {count}" for reason, count in receipt.reasons.items())
        counts = f": {receipt.accepted} accepted, {receipt.rejected} rejected{f' ({reasons})' if reasons else ''}"
    out.print(f"{receipt.id} {receipt.state}{counts}", highlight=False, soft_wrap=True)


def _read_payload(file: str) -> bytes:
    """The bytes of a file or of standard input. Raises InputError."""
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"The payload's file cannot be read: {error.strerror}: '{file}'") from None
