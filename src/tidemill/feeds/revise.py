"""A feed's next version: checks whether a text can be that version, shows what it would change, and stores it. Both the
HTTP API and the command line use this module, so that they accept and refuse the same texts.

Two settings cannot change: how duplicates are decided and what records become. The points of earlier versions were
stored under them; points under other settings would contradict the stored ones.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from tidemill.errors import ConflictError, Fault, FeedDefinitionError
from tidemill.feeds.book import FeedTexts
from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.diff import definition_changes, parse_definition
from tidemill.feeds.key_lines import Key, KeyLines
from tidemill.feeds.load import definition_error, load_feed
from tidemill.feeds.placeholders import indistinct_item_faults
from tidemill.feeds.validate_paths import unquoted_faults
from tidemill.model.feed_text import DefinitionChange, FeedRemoval, FeedText

_FIXED: Final[dict[Key, str]] = {("duplicates",): "last", ("shape", "kind"): "points"}  # key -> default

_VALUELESS: Final = {
    "variable_unset",
    "variable_refused",
    "secret_unreadable",
    "misplaced_secret",
    "unknown_key",
    "missing",
}  # codes of faults whose messages name keys and references, and hold no filled-in value


class FeedVersions(FeedTexts, Protocol):
    """Stores all versions of feed texts."""

    def versions(self, tenant: str, name: str) -> list[FeedText]:
        """Every version of a feed, oldest first; [] where there is none."""

    def remove(self, tenant: str, name: str, data: Literal["keep", "delete"]) -> FeedRemoval:
        """Remove a feed, durable on return; its versions stay. Raises NotFoundError."""

    def note_deleted(self, tenant: str, name: str, removal: FeedRemoval) -> FeedRemoval:
        """Note of a removal that the feed's data is deleted, durable on return; changes no later removal or version."""

    def add(self, tenant: str, name: str, number: int, text: str) -> FeedText:
        """Store a text as version `number`, durable on return. Raises ConflictError if that version exists."""


class StaleVersionError(ConflictError):
    """The version in force is not the version that this change was made for."""

    code = "version_mismatch"


class Revision(msgspec.Struct, frozen=True):
    """The effect of a text on its feed. `before` is the version in force until then (None: the feed is new), `version`
    the version in force afterwards (of a dry run: that it would be), `kept` what the catalog stored (None: a dry run).
    `diff` compares the definitions; it is () also if only comments or layout changed."""

    version: int
    before: FeedText | None
    kept: FeedText | None
    diff: tuple[DefinitionChange, ...]

    @property
    def changed(self) -> bool:
        """Whether the text makes a new version."""
        return self.before is None or self.version != self.before.version


def revise_feed(
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
    """Make a text the next version of the feed `name`; the text of the version in force makes no new version. Of two
    concurrent calls both make a version, in some order, each checked against the version before it. A feed that was
    removed is in force again with the version after its newest, also with the same text.

    `source` names the text in messages; `environment` fills the variables of [source]; `expect` is the version that
    must be in force (0: none). Raises FeedDefinitionError with every fault, or StaleVersionError; then nothing has
    changed.
    """
    while True:
        before = texts.current(tenant, name)
        check_revision(text, name, before, source=source, environment=environment)
        number = 0 if before is None else before.version
        in_force = 0 if before is None or before.removal else number
        if expect is not None and expect != in_force:
            raise StaleVersionError(_stale_message(name, expect, in_force))
        if before is not None and before.text == text and in_force:
            return Revision(number, before, before, ())
        diff = () if before is None else definition_changes(before.text, text)
        if dry_run:
            return Revision(number + 1, before, None, diff)
        try:
            return Revision(number + 1, before, texts.add(tenant, name, number + 1, text), diff)
        except ConflictError:  # a concurrent call made this version: compare with it again
            continue


def check_revision(
    text: str, name: str, before: FeedText | None, *, source: str, environment: Mapping[str, str] | None = None
) -> None:
    """Raise FeedDefinitionError with every fault for which a text cannot be the version after `before`."""
    faults: tuple[Fault, ...] = ()
    indistinct: list[DefinitionFault] = []
    try:
        feed = load_feed(text, source=source, environment=environment)
        indistinct = [*unquoted_faults(feed), *indistinct_item_faults(feed, has_source="source" in tomllib.loads(text))]
    except FeedDefinitionError as error:
        faults = tuple(_without_values(fault, text) for fault in error.faults)
    lines, mistyped = KeyLines(text, source), {fault.path for fault in faults if fault.code == "wrong_type"}
    own: list[DefinitionFault] = []
    if not faults or faults[0].code != "invalid_toml":
        own = [*_name_faults(text, name), *_version_faults(text), *_fixed_setting_faults(text, before), *indistinct]
    more = (Fault(lines.locate(fault.key), fault.code, fault.message) for fault in own)
    faults += tuple(fault for fault in more if fault.path not in mistyped)
    if faults:
        raise definition_error(source, faults)


def _name_faults(text: str, name: str) -> list[DefinitionFault]:
    given = tomllib.loads(text).get("name", name)
    if not isinstance(given, str) or given == name:
        return []
    message = f"the text is of a feed '{given[:80]}', and it was sent as '{name[:80]}'; make both the same"
    return [DefinitionFault(("name",), "name_mismatch", message)]


def _version_faults(text: str) -> list[DefinitionFault]:
    """The fault of a text that gives its own version. For new texts only: a stored text stays readable."""
    if "version" not in tomllib.loads(text):
        return []
    return [DefinitionFault(("version",), "unknown_key", "versions are counted by the server; leave 'version' out")]


def _fixed_setting_faults(text: str, before: FeedText | None) -> list[DefinitionFault]:
    if before is None:
        return []
    old, new = parse_definition(before.text), parse_definition(text)
    faults = []
    for key, default in _FIXED.items():
        was, wanted = _value_at(old, key, default), _value_at(new, key, default)
        if was != wanted:
            message = (
                f"{'.'.join(map(str, key))} has been '{was}' since the feed began and cannot become "
                f"'{str(wanted)[:60]}': the points it has were decided by it. Make a new feed, under another name"
            )
            faults.append(DefinitionFault(key, "cannot_change", message))
    return faults


def _value_at(data: Any, key: Key, default: Any) -> Any:
    for part in key:
        data = data.get(part) if isinstance(data, dict) else None
    return default if data is None else data


def _without_values(fault: Fault, text: str) -> Fault:
    """The fault without the values of filled-in variables: whoever sends the text may not be allowed to know them."""
    key = fault.path.rpartition(": ")[2].split(".")
    if key[0] != "source" or fault.code in _VALUELESS:
        return fault
    written: Any = tomllib.loads(text)
    for part in key:
        # A key with dots in it cannot be followed: then the last table that could is taken.
        written = written.get(part, written) if isinstance(written, dict) else written
    if "${" not in str(written):
        return fault
    what = "what is in this table" if isinstance(written, dict | list) else f"'{str(written)[:80]}'"
    message = f"with its variables filled in here, {what} cannot be taken (their values are not shown)"
    return Fault(fault.path, fault.code, message)


def _stale_message(name: str, expected: int, number: int) -> str:
    if not expected:
        return f"The feed '{name}' exists already, at version {number}, and this was to make a new one."
    current = f"is at version {number}" if number else "does not exist"
    return f"The feed '{name}' {current}, and this change was made for version {expected}. Look at what changed first."
