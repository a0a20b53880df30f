"""Validates the paths of a feed: each can be read, can match a record of the feed, and has a use of its own."""

from collections.abc import Iterator

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.definition import Feed
from tidemill.feeds.key_lines import Key
from tidemill.feeds.levels import reach_fault
from tidemill.feeds.paths import KEY, UP, Path, below, in_record, parse_path, unquoted_fault
from tidemill.feeds.validate_values import member_paths, shared_uses

_RECORDS: Key = ("input", "records")
_COLUMNS: Key = ("input", "columns")
_Use = tuple[int, Path]  # how far above the record, and the steps from there


def path_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Every fault of the paths of a feed's records and their members."""
    records: Path | None = None
    parsed: dict[Key, Path] = {}
    for key, path in _paths(feed):
        try:
            parsed[key] = parse_path(path)
        except ValueError as error:
            yield DefinitionFault(key, "bad_path", str(error))
    root = _RECORDS if feed.input.columns is None else _COLUMNS
    records = parsed.pop(root, None)
    if records is not None and (fault := _root_fault(records, columnar=root is _COLUMNS)) is not None:
        yield DefinitionFault(root, "bad_path", fault)
        records = None
    numbers = {field.path for field in feed.fields.values() if not field.is_array}
    shared = {key for key, path in _paths(feed) if key[:2] == ("time", "zone_position") and path in numbers}
    uses: dict[_Use, Key] = {}
    known = shared_uses(feed)
    for key, steps in parsed.items():
        fault = None if records is None else reach_fault(steps, records)
        if fault is None and root is _COLUMNS and in_record(steps) and not _is_keys(steps):
            fault = "a member of an object of arrays is named by its key; items belong to the records"
        if fault is None and key not in shared:
            use = (steps.count(UP), below(steps))
            together = key in known and known[key] == known.get(uses.get(use, ()))
            fault = None if together else _overlap_fault(steps, uses)
            uses.setdefault(use, key)
        if fault is not None:
            yield DefinitionFault(key, "bad_path", fault)
    yield from _register_faults(feed, {key: steps for key, steps in parsed.items() if in_record(steps)})


def _root_fault(path: Path, *, columnar: bool) -> str | None:
    """Why records cannot be at a path, or None."""
    if UP in path or KEY in path:
        return "records are inside the document: a path of records has no ^ and no ~"
    if columnar and not all(isinstance(step, str) for step in path):
        return "columns are in one object, which is named by keys, such as $.hourly"
    return None


def _is_keys(path: Path) -> bool:
    return bool(path) and all(isinstance(step, str) for step in path)


def unquoted_faults(feed: Feed) -> Iterator[DefinitionFault]:
    """Faults of keys that should be quoted. For new texts only: a stored feed with such a path is read as before."""
    paths = _paths(feed)
    if feed.source is not None:
        source = feed.source
        page = None if source.page is None else source.page.cursor_path
        paths += [(("source", "error_path"), source.error_path)] if source.error_path else []
        paths += [(("source", "page", "cursor_path"), page)] if page else []
        paths += [(("source", "nothing", number, "path"), sign.path) for number, sign in enumerate(source.nothing)]
    for key, path in paths:
        if (fault := unquoted_fault(path)) is not None:
            yield DefinitionFault(key, "bad_path", fault)


def plain_path_fault(text: str, example: str) -> str | None:
    """Why a path cannot name a member of an answer of a source, or None."""
    try:
        path = parse_path(text)
    except ValueError as error:
        return str(error)
    if not path:
        return f"'$' is the whole answer; name a member such as {example}"
    return _document_fault(path)


def document_path_fault(text: str) -> str | None:
    """Why a path cannot name an answer or a part of it, or None."""
    try:
        return _document_fault(parse_path(text))
    except ValueError as error:
        return str(error)


def _document_fault(path: Path) -> str | None:
    if all(isinstance(step, str | int) for step in path):
        return None
    return "a path in an answer has only keys and items, such as $.meta.next or $[0].code"


def _paths(feed: Feed) -> list[tuple[Key, str]]:
    """The path of the records and those of all members, by key."""
    paths: list[tuple[Key, str | None]] = [
        (_RECORDS if feed.input.columns is None else _COLUMNS, feed.input.root),
        (("time", "path"), feed.time.path),
        (("time", "offset_path"), feed.time.offset_path),
        (("time", "zone_path"), feed.time.zone_path),
        (("time", "step_path"), feed.time.step_path),
        (("time", "rate_path"), feed.time.rate_path),
        (("registers", "name_path"), feed.registers.name_path if feed.registers else None),
        (("registers", "value_path"), feed.registers.value_path if feed.registers else None),
        *((("tags", name, "path"), tag.path) for name, tag in feed.tags.items()),
        *((("attributes", name, "path"), attribute.path) for name, attribute in feed.attributes.items()),
        *((("fields", name, "path"), field.path) for name, field in feed.fields.items()),
        *member_paths(feed),
        (("labels", "path"), feed.labels.path if feed.labels else None),
        *((("time", "zone_position", n), path) for n, path in enumerate(feed.time.zone_position or ())),
    ]
    return [(key, path) for key, path in paths if path is not None]


def _overlap_fault(steps: Path, uses: dict[_Use, Key]) -> str | None:
    """Why a member cannot be read beside those that are in use, or None."""
    ups, rest = steps.count(UP), below(steps)
    for (other_ups, other), other_key in uses.items():
        if other_ups != ups or (KEY in rest) != (KEY in other):
            continue
        same = next((n for n, (a, b) in enumerate(zip(rest, other, strict=False)) if a != b), None)
        name = ".".join(map(str, other_key))
        if same is None:
            whole = " ('$' is the whole record)" if not rest or not other else ""
            return f"overlaps {name}{whole}; every member of a record has one use"
        if isinstance(rest[same], int) != isinstance(other[same], int):
            what = "an array" if isinstance(rest[same], int) else "an object"
            return f"reads as {what} what {name} reads otherwise ([1] is an item, ['1'] a key)"
    return None


def _register_faults(feed: Feed, members: dict[Key, Path]) -> Iterator[DefinitionFault]:
    registers = None if feed.input.open else feed.registers
    if registers is None or registers.name_path is not None or registers.value_path is not None:
        return
    for key, steps in members.items():
        if not steps or not isinstance(steps[0], str):
            yield DefinitionFault(key, "conflict", "registers are the keys of a record, so records must be objects")
        elif steps[0] not in registers.except_keys:
            message = f"'{steps[0]}' is read for something else; add it to except_keys"
            yield DefinitionFault(("registers", "except_keys"), "conflict", message)
