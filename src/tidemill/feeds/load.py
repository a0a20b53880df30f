"""A feed's TOML -> `Feed`, or every fault of it at once, each with its line and a hint.

`${NAME:-default}` is filled in inside [source] only, from the given environment. What a definition means together
(does the zone exist, has a summary its field) is `validate.py`; this file reads and converts.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from tidemill.errors import Fault, FeedDefinitionError, count_of_faults
from tidemill.feeds.convert import Finding, convert
from tidemill.feeds.definition import Feed
from tidemill.feeds.places import Key, Places
from tidemill.feeds.validate import validate

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_AT: Final = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")


def load(
    text: str,
    *,
    source: str = "feed.toml",
    environment: Mapping[str, str] | None = None,
    with_source: bool = True,
) -> Feed:
    """The feed of a TOML text, version 0. `source` names it in messages; without an `environment` every variable of
    [source] takes its default; not `with_source` passes over [source]. Raises FeedDefinitionError with every fault
    (`path` is `file:line: key`)."""
    data = _parse(text, source)
    if not with_source:
        data.pop("source", None)
    places = Places(text, source)
    found: list[Finding] = []
    if "source" in data:
        data["source"] = _substitute(data["source"], environment or {}, ("source",), found)
    feed = convert(data, Feed, (), found)
    if isinstance(feed, Feed):
        unsure = {one.key[0] for one in found if one.code != "unknown_key"}  # there, defaults stand in for faults
        found += [one for one in validate(feed) if one.key[0] not in unsure]
    if found:
        faults = tuple(Fault(places.of(one.key), one.code, one.message) for one in found)
        raise FeedDefinitionError(_summary(source, faults), faults)
    assert isinstance(feed, Feed)
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
    raise FeedDefinitionError(_summary(source, (fault,)), (fault,))


def _substitute(node: Any, environment: Mapping[str, str], key: Key, found: list[Finding]) -> Any:
    if isinstance(node, dict):
        return {name: _substitute(value, environment, (*key, name), found) for name, value in node.items()}
    if isinstance(node, list):
        return [_substitute(value, environment, (*key, n), found) for n, value in enumerate(node)]
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name in environment:
            return environment[name]
        if default is None:
            message = f"the environment has no {name}; set it, or give a default: ${{{name}:-...}}"
            found.append(Finding(key, "variable_unset", message))
        return default or ""

    return _VARIABLE.sub(value_of, node)


def _summary(source: str, faults: tuple[Fault, ...]) -> str:
    lines = [f"{fault.path}: {fault.message}" for fault in faults[:20]]
    more = [f"and {len(faults) - 20} more"] if len(faults) > 20 else []
    return "\n".join([f"{source} is not a feed definition: {count_of_faults(len(faults))}", *lines, *more])
