"""A feed's next version: whether a text can be one, what it would change, and making it. The HTTP API and the command
line both come through here, so that neither takes what the other refuses.

What cannot change: how duplicates are decided and what records become. The stored points of earlier versions were
decided by both; under another policy they would contradict those to come.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from tidemill.errors import ConflictError, Fault, FeedDefinitionError
from tidemill.feeds.book import FeedTexts
from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.diff import DefinitionChange, changes, definition
from tidemill.feeds.key_lines import Key, KeyLines
from tidemill.feeds.load import load, refusal
from tidemill.model.feed_text import FeedText

_FIXED: Final[dict[Key, str]] = {("duplicates",): "last", ("shape", "kind"): "points"}  # key -> default

_OF_REFERENCES: Final = {
    "variable_unset",
    "variable_refused",
    "secret_unreadable",
    "misplaced_secret",
}  # faults that hold no value


class FeedVersions(FeedTexts, Protocol):
    """Where all versions of feed texts are kept."""

    def versions(self, tenant: str, name: str) -> list[FeedText]:
        """Every version of a feed, oldest first; [] where there is none."""

    def add(self, tenant: str, name: str, number: int, text: str) -> FeedText:
        """Keep a text as version `number`, durable on return. Raises ConflictError when that version exists."""


class StaleVersionError(ConflictError):
    """The version in force is not the one that this change was made for."""

    code = "version_mismatch"


class Revision(msgspec.Struct, frozen=True):
    """What a text is to its feed. `before` is the version in force when it came (None: the feed is new), `version` the
    one in force after it (of a dry run: that it would be), `kept` what the catalog holds of it (None: a dry run).
    `diff` is of the definitions; () may also mean that only comments or layout changed."""

    version: int
    before: FeedText | None
    kept: FeedText | None
    diff: tuple[DefinitionChange, ...]

    @property
    def changed(self) -> bool:
        """Whether it makes a new version."""
        return self.before is None or self.version != self.before.version


def revise(
    texts: FeedVersions,
    tenant: str,
    name: str,
    text: str,
    *,
    source: str,
    environment: Mapping[str, str] | None = None,
    expect: int | None = None,
    dry_run: bool = False,
) -> Revision:
    """Make a text the next version of the feed `name`; the text of the version in force makes none. Of two who do this
    at once both get a version, in some order, each checked against the one before it.

    `source` names the text in messages; `environment` fills the variables of [source]; `expect` is the version that
    must be in force (0: none). Raises FeedDefinitionError with every fault and StaleVersionError; then nothing has
    changed.
    """
    while True:
        before = texts.current(tenant, name)
        check(text, name, before, source=source, environment=environment)
        number = 0 if before is None else before.version
        if expect is not None and expect != number:
            raise StaleVersionError(_stale(name, expect, number))
        if before is not None and before.text == text:
            return Revision(number, before, before, ())
        diff = () if before is None else changes(before.text, text)
        if dry_run:
            return Revision(number + 1, before, None, diff)
        try:
            return Revision(number + 1, before, texts.add(tenant, name, number + 1, text), diff)
        except ConflictError:  # somebody else made this version: look again
            continue


def check(
    text: str, name: str, before: FeedText | None, *, source: str, environment: Mapping[str, str] | None = None
) -> None:
    """Raise FeedDefinitionError with everything that keeps a text from being the version after `before`."""
    faults: tuple[Fault, ...] = ()
    try:
        load(text, source=source, environment=environment)
    except FeedDefinitionError as error:
        faults = tuple(_without_values(fault, text) for fault in error.faults)
    places, mistyped = KeyLines(text, source), {fault.path for fault in faults if fault.code == "wrong_type"}
    found = (
        []
        if faults and faults[0].code == "invalid_toml"
        else [*_name(text, name), *_version(text), *_fixed(text, before)]
    )
    more = (Fault(places.of(one.key), one.code, one.message) for one in found)
    faults += tuple(fault for fault in more if fault.path not in mistyped)
    if faults:
        raise refusal(source, faults)


def _name(text: str, name: str) -> list[DefinitionFault]:
    given = tomllib.loads(text).get("name", name)
    if not isinstance(given, str) or given == name:
        return []
    message = f"the text is of a feed '{given[:80]}', and it was sent as '{name[:80]}'; make both the same"
    return [DefinitionFault(("name",), "name_mismatch", message)]


def _version(text: str) -> list[DefinitionFault]:
    """Only of new texts: one that is kept already stays readable."""
    if "version" not in tomllib.loads(text):
        return []
    return [DefinitionFault(("version",), "unknown_key", "versions are counted by the server; leave 'version' out")]


def _fixed(text: str, before: FeedText | None) -> list[DefinitionFault]:
    if before is None:
        return []
    old, new = definition(before.text), definition(text)
    found = []
    for key, default in _FIXED.items():
        was, wanted = _at(old, key, default), _at(new, key, default)
        if was != wanted:
            message = (
                f"{'.'.join(map(str, key))} has been '{was}' since the feed began and cannot become "
                f"'{str(wanted)[:60]}': the points it has were decided by it. Make a new feed, under another name"
            )
            found.append(DefinitionFault(key, "cannot_change", message))
    return found


def _at(data: Any, key: Key, default: Any) -> Any:
    for part in key:
        data = data.get(part) if isinstance(data, dict) else None
    return default if data is None else data


def _without_values(fault: Fault, text: str) -> Fault:
    """A fault in what variables were filled in for, without their values: whoever sends the text may not know them."""
    key = fault.path.rpartition(": ")[2].split(".")
    if key[0] != "source" or fault.code in _OF_REFERENCES:
        return fault
    written: Any = tomllib.loads(text)
    for part in key:
        written = written.get(part) if isinstance(written, dict) else None
    if written is None or "${" not in str(written):
        return fault
    return Fault(fault.path, fault.code, f"with its variables filled in here, '{str(written)[:80]}' cannot be taken")


def _stale(name: str, expected: int, number: int) -> str:
    if not expected:
        return f"The feed '{name}' exists already, at version {number}, and this was to make a new one."
    current = f"is at version {number}" if number else "does not exist"
    return f"The feed '{name}' {current}, and this change was made for version {expected}. Look at what changed first."
