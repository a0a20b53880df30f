"""A feed's TOML -> `Feed`, or every fault of it at once, each with its line and a hint.

References inside [source] are filled in by `fill.py`. What a definition means together
(does the zone exist, has a summary its field) is `validate.py`; this file reads and converts.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.structs import asdict, replace

from tidemill.errors import Fault, FeedDefinitionError, count_of_faults
from tidemill.feeds.convert import DefinitionFault, convert
from tidemill.feeds.definition import Feed
from tidemill.feeds.fill import Filler
from tidemill.feeds.key_lines import KeyLines
from tidemill.feeds.source import FilledSource
from tidemill.feeds.validate import validate

_AT: Final = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")


def load(
    text: str,
    *,
    source: str = "feed.toml",
    environment: Mapping[str, str] | None = None,
    with_source: bool = True,
    secrets_folder: Path | None = None,
) -> Feed:
    """The feed of a TOML text, version 0. `source` names it in messages; without an `environment` every variable of
    [source] takes its default (with AS_WRITTEN it stays a reference), and without a `secrets_folder` no `${file:...}`
    is read; not `with_source` passes over [source], and so does a URL that its variables leave empty. Raises
    FeedDefinitionError with every fault (`path` is `file:line: key`)."""
    data = _parse(text, source)
    if not with_source:
        data.pop("source", None)
    places = KeyLines(text, source)
    found: list[DefinitionFault] = []
    filler = Filler({} if environment is None else environment, secrets_folder)
    if "source" in data:
        data["source"] = filler.fill(data["source"], ("source",))
    feed = convert(data, Feed, (), found)
    if isinstance(feed, Feed):
        unsure = {one.key[0] for one in found if one.code != "unknown_key"}  # there, defaults stand in for faults
        found += [one for one in validate(feed) if one.key[0] not in unsure]
    found = filler.findings(found)
    if found:
        faults = tuple(Fault(places.of(one.key), one.code, one.message) for one in found)
        raise refusal(source, faults)
    assert isinstance(feed, Feed)
    if filler.polls_nothing():
        return replace(feed, source=None)
    if feed.source is not None:
        filled = FilledSource(**asdict(feed.source), secrets=tuple(filler.secrets))
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
    raise refusal(source, (fault,))


def refusal(source: str, faults: tuple[Fault, ...]) -> FeedDefinitionError:
    """The error of a definition with these faults; its message names the first twenty."""
    lines = [f"{fault.path}: {fault.message}" for fault in faults[:20]]
    more = [f"and {len(faults) - 20} more"] if len(faults) > 20 else []
    message = "\n".join([f"{source} is not a feed definition: {count_of_faults(len(faults))}", *lines, *more])
    return FeedDefinitionError(message, faults)
