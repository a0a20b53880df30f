"""Ties a data folder to its log over JetStream: the folder names the log, and the log names its installation.

So a folder is not started with another log than its own, of which its checkpoints say nothing, and two installations do
not share one log, whose payloads each would apply.
"""

import asyncio
import secrets
from pathlib import Path
from typing import Final

import msgspec

from tidemill.durable import replace_file
from tidemill.errors import LogUnavailableError, StartupError
from tidemill.log.jetstream import JetStreamLink, LogAddress, parse_log_address
from tidemill.log.jetstream.link import ApiError, NoAnswerError
from tidemill.log.jetstream.names import StreamNames
from tidemill.log.jetstream.records import Message
from tidemill.log.partitions import log_folder

_FILE: Final = "shared-log.json"
_SEND_S: Final = 10.0


class SharedLogMark(msgspec.Struct, frozen=True):
    """What a data folder keeps of its log: the log's name, and the installation that the log is for."""

    name: str
    installation: str


def read_mark(data: Path) -> SharedLogMark | None:
    """The log over JetStream that a data folder belongs to; null: it has its log itself. Raises StartupError."""
    try:
        return msgspec.json.decode((data / _FILE).read_bytes(), type=SharedLogMark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise StartupError(f"Cannot read {data / _FILE}: {error}. Restore it from a copy of the folder.") from None


def settle_shared_log(data: Path, shared: str) -> None:
    """Keep in the folder that its log is at `shared` (TIDEMILL_LOG; empty: in the folder). Raises StartupError where
    the folder has another log."""
    mark = read_mark(data)
    if not shared:
        if mark is not None:
            raise StartupError(
                f"The log of {data} is over NATS, with the name '{mark.name}': set "
                f"TIDEMILL_LOG=nats://HOST:PORT,.../{mark.name}, or choose another data folder with --data"
            )
        return
    name = parse_log_address(shared).name
    if mark is not None and mark.name != name:
        raise StartupError(
            f"The log of {data} has the name '{mark.name}', and TIDEMILL_LOG names '{name}': set "
            f"TIDEMILL_LOG=nats://HOST:PORT,.../{mark.name}, or choose another data folder with --data"
        )
    if mark is None:
        if log_folder(data, 0).exists():
            raise StartupError(
                f"{data} has a log of its own, whose payloads would not be in TIDEMILL_LOG: start without it, or "
                "choose a new data folder with --data"
            )
        replace_file(data / _FILE, msgspec.json.encode(SharedLogMark(name, secrets.token_hex(16))))


def claim_shared_log(link: JetStreamLink, address: LogAddress, installation: str) -> None:
    """Record in a log, which is open, that it is for this installation. Raises StartupError if it is for another one,
    or does not answer."""
    try:
        owner = link.call(link, lambda: _claimed_by(link, StreamNames(address.name, 0), installation))
    except (ApiError, NoAnswerError, LogUnavailableError) as error:
        raise StartupError(f"The log in TIDEMILL_LOG does not say which installation it is for: {error}") from error
    if owner != installation:
        raise StartupError(
            f"The log '{address.name}' at {', '.join(address.servers)} is for another installation, which would lose "
            "and double payloads if this one used it too: choose another name, TIDEMILL_LOG=nats://HOST:PORT,.../NAME"
        )


async def _claimed_by(link: JetStreamLink, names: StreamNames, installation: str) -> str:
    """The installation that a log is for, which is this one where there was none."""
    subject = f"{names.name}.mark.installation"
    message = Message(subject, installation.encode(), {"Nats-Expected-Last-Subject-Sequence": "0"})
    try:
        await link.send([message], asyncio.Lock(), _SEND_S)
    except ApiError:  # there is one already
        return str(await _last_text(link, names, subject))
    return installation


async def _last_text(link: JetStreamLink, names: StreamNames, subject: str) -> str:
    answer = await link.api(f"STREAM.MSG.GET.{names.marks}", {"last_by_subj": subject})
    return msgspec.json.decode(f'"{answer["message"]["data"]}"', type=bytes).decode()
