"""Reads a feed's TOML: a `Feed`, or an error with every fault, each with its line and a hint.

This file parses and converts. `fill.py` fills in references inside [source]; `validate.py` checks what goes beyond
types (whether a zone exists, whether a summary has its field).
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.structs import asdict, replace

from tidemill.errors import Fault, FeedDefinitionError, count_of_faults
from tidemill.feeds.convert import DefinitionFault, convert_data
from tidemill.feeds.definition import Feed
from tidemill.feeds.fill import Filler
from tidemill.feeds.key_lines import KeyLines
from tidemill.feeds.source import FilledSource
from tidemill.feeds.validate import feed_faults

_AT: Final = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")


def load_feed(
    text: str,
    *,
    source: str = "feed.toml",
    environment: Mapping[str, str] | None = None,
    with_source: bool = True,
    secrets_folder: Path | None = None,
) -> Feed:
    """The feed of a TOML text, version 0.

    `source` names the text in messages. Without an `environment` every variable of [source] takes its default (with
    AS_WRITTEN it stays a reference); without a `secrets_folder` no `${file:...}` is read. The feed has no source if
    `with_source` is false, or if variables leave the URL empty. Raises FeedDefinitionError with every fault (`path` is
    `file:line: key`)."""
    data = _parse(text, source)
    if not with_source:
        data.pop("source", None)
    lines = KeyLines(text, source)
    faults: list[DefinitionFault] = []
    filler = Filler({} if environment is None else environment, secrets_folder)
    if "source" in data:
        data["source"] = filler.fill(data["source"], ("source",))
    feed = convert_data(data, Feed, (), faults)
    if isinstance(feed, Feed):
        # Tables with faults hold defaults instead of what was written, so `feed_faults` says nothing true about them.
        unsure = {fault.key[0] for fault in faults if fault.code != "unknown_key"}
        faults += [fault for fault in feed_faults(feed) if fault.key[0] not in unsure]
    faults = filler.merge_faults(faults)
    if faults:
        located = tuple(Fault(lines.locate(fault.key), fault.code, fault.message) for fault in faults)
        raise definition_error(source, located)
    assert isinstance(feed, Feed)
    if filler.has_blank_url():
        return replace(feed, source=None)
    if feed.source is not None:
        filled = FilledSource(**asdict(feed.source), secrets=tuple(filler.secrets), files=tuple(filler.files.items()))
        feed = replace(feed, source=filled)
    return feed


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _AT.fullmatch(str(error))
        where, why = (f"{source}:{match[2]}", f"{match[1]} (column {match[3]})") if match else (source, str(error))
        fault = Fault(where, "invalid_toml", f"not TOML: {why}")
    except RecursionError:
        fault = Fault(source, "invalid_toml", "not TOML: nested too deeply")
    raise definition_error(source, (fault,))


def definition_error(source: str, faults: tuple[Fault, ...]) -> FeedDefinitionError:
    """The error of a definition with these faults; its message names the first twenty."""
    lines = [f"{fault.path}: {fault.message}" for fault in faults[:20]]
    more = [f"and {len(faults) - 20} more"] if len(faults) > 20 else []
    message = "\n".join([f"{source} is not a feed definition: {count_of_faults(len(faults))}", *lines, *more])
    return FeedDefinitionError(message, faults)
