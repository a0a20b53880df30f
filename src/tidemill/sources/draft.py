"""Drafts a feed definition from the structure of an answer and the user's options. Every draft can be loaded.

A comment beside each guess shows an example or a reason. Secrets are never written: they become variables.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tidemill.feeds.paths import KEY, Path, parse_path
from tidemill.feeds.validate import RESERVED
from tidemill.sources.structure import AnswerMember, Structure

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)
_STEPS: Final = re.compile(r"[.\[]")
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}")
SECRET_NAME: Final = re.compile(r"(auth|key|token|secret|cookie|pass)", re.IGNORECASE)


_NamedMembers = list[tuple[AnswerMember, str]]


class DraftOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The user's choices, which take precedence over guesses. `tags` and `fields`: name -> path, in place of all
    guessed tags or fields. `title`: of a feed that polls nothing, whose draft has no [source]."""

    name: str = ""
    title: str = ""
    format: str = ""
    records: str | None = None
    time: str | None = None
    time_format: str | None = None
    zone: str | None = None
    tags: Mapping[str, str] = {}
    fields: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    allow: Sequence[str] = ()
    every: str = "1m"


def draft_feed(
    url: str, structure: Structure, options: DraftOptions, variables: Mapping[str, str] | None = None
) -> str | None:
    """The TOML text of a feed that polls `url` ("": a feed without a source); None if no member could be a field.
    `variables` are those that a [source] may read: a reference to another variable is renamed to one that it may
    read."""
    used = _UsedPaths([options.time, *options.tags.values(), *options.fields.values()])
    names = _MemberNames([*options.tags, *options.fields])
    fields = _field_members(structure, options, used, names)
    long = None if options.fields or options.tags else structure.long
    registers = (structure.registers or long is not None) and not options.fields
    if not fields and not registers:
        return None
    time, zone = _time_lines(structure, options, used)
    lines = [
        f"name = {_quoted(options.name or feed_name(url))}",
        f"title = {_quoted(options.title or f'Fetched from {urlsplit(url).hostname or url}')}",
        'duplicates = "last" # of two records of one series and time the later one stays',
        "",
        "[input]",
        f'formats = ["{structure.format}"]',
        *_input_lines(structure),
        'on_fault = "reject" # a record that does not fit goes to the ledger, the others are taken',
        "",
        "[time]",
        *time,
        *zone,
    ]
    for member, name in _text_members(structure, options, used, names):
        table = "attributes" if member.role == "attribute" else "tags"
        lines += ["", f"[{table}.{_key(name)}]", f"path = {_quoted(member.path)}{_example_comment(member)}"]
        lines += ['type = "integer"'] if member.type == "integer" else []
        lines += ["required = false"] if table == "tags" and not member.required else []
    for labels in [member for member in structure.with_roles("labels") if not used.overlaps(member.path)][:1]:
        lines += ["", "[labels] # for rules to look at", f"path = {_quoted(labels.path)}"]
    for member, name in fields if not registers else []:
        lines += ["", f"[fields.{_key(name)}]", f"path = {_quoted(member.path)}{_example_comment(member)}"]
        lines += [f'type = "{member.type}"'] if member.type != "number" else []
        lines += ["required = false"] if not member.required and member.role != "values" else []
    if long is not None:
        lines += ["", "[registers] # each record names its field", f"name_path = {_quoted(long[0])}"]
        lines += [f"value_path = {_quoted(long[1])}"]
    elif registers:
        read = [*(member.path for member in structure.members if member.role != "value"), *used.paths]
        others = dict.fromkeys(str(keys[0]) for keys in map(_keys, read) if keys)
        lines += ["", "[registers] # every other member is a field of its own name"]
        lines += [f"except_keys = [{', '.join(map(_quoted, others))}]"]
    if registers and any(member.type == "text_number" for member in structure.with_roles("value")):
        lines += ["number_texts = true"]
    if fields and all(member.role == "values" for member, _ in fields):
        lines += ["", "[shape] # mean, stddev and count of the numbers of a record", 'kind = "summary"']
    for member in structure.with_roles("unused"):
        if not used.overlaps(member.path):
            lines += ["", f"# {_printable(f'{member.path} {member.explanation}')}."]
    polled = _source_lines(url, structure, options, variables or {}) if url else []
    return "\n".join([*lines, *polled]) + "\n"


def _input_lines(structure: Structure) -> list[str]:
    """The line that says where the records are."""
    if structure.kind == "columns":
        return [f"columns = {_quoted(structure.records)} # item n of each array is of record n"]
    return [f"records = {_quoted(structure.records)}"] if structure.records != "$" else []


def feed_name(url: str) -> str:
    """A name for the feed of a URL: the last part of the path that is a word, else of the host."""
    parts = urlsplit(url)
    words = [*filter(None, parts.path.split("/")), (parts.hostname or "").split(".")[0]]
    names = [word for word in map(_plain_word, reversed(words[:-1])) if word] or [_plain_word(words[-1])]
    return names[0] or "source"


def _plain_word(word: str) -> str:
    return re.sub(r"^[^a-z]+", "", _ODD.sub("-", word.rpartition(".")[0] or word).lower()).strip("-")[:40]


class _UsedPaths:
    """The paths that the user chose (None: not chosen). A member at, above or below such a path has no other use."""

    def __init__(self, paths: Sequence[str | None]) -> None:
        self.paths = [path for path in paths if path]

    def overlaps(self, path: str) -> bool:
        """Whether a path is, or is above or below, a chosen path."""
        keys = _keys(path)
        return any(used[: len(keys)] == keys or keys[: len(used)] == used for used in map(_keys, self.paths))


def _keys(path: str) -> Path:
    """The steps of a path; a text that the user chose and that is no path stands for itself."""
    try:
        return parse_path(path)
    except ValueError:
        return (path,)


class _MemberNames:
    """Gives members names that are valid in a feed: letters, digits, `_` and `-`, a letter first, at most 64; not
    reserved, and unique. `taken` are the names that the user chose."""

    def __init__(self, taken: Sequence[str]) -> None:
        self._taken: set[str] = {*RESERVED, *taken}

    def choose_name(self, path: str) -> str:
        """The shortest end of a path that is a free name, from now on taken."""
        steps = ["key" if step is KEY else str(step) for step in _keys(path)] or ["value"]
        parts = [_ODD.sub("_", step).strip("_") for step in steps]
        for size in range(1, len(parts) + 1):
            name = _lettered("_".join(parts[-size:])[:60])
            if name and name not in self._taken:
                break
        else:
            stem = _lettered(parts[-1][:50]) or "member"
            name = next(name for n in range(1, 10_000) if (name := f"{stem}_{n}") not in self._taken)
        self._taken.add(name)
        return name


def _lettered(name: str) -> str:
    """The name with a letter first; "" is returned unchanged."""
    return name if name[:1].isalpha() or not name else f"m_{name}"


def _field_members(structure: Structure, options: DraftOptions, used: _UsedPaths, names: _MemberNames) -> _NamedMembers:
    if options.fields:
        known = {member.path: member for member in structure.members}
        wanted = [(_chosen_field(path, known), name) for name, path in options.fields.items()]
        # Many numbers are summarised, and a summary has one field.
        return [pair for pair in wanted if pair[0].role != "values"] or wanted[:1]
    values = [member for member in structure.with_roles("value") if not used.overlaps(member.path)]
    values = values or [member for member in structure.with_roles("values") if not used.overlaps(member.path)][:1]
    return [(member, names.choose_name(member.path)) for member in values]


def _chosen_field(path: str, known: Mapping[str, AnswerMember]) -> AnswerMember:
    """The member at a path, with the role of a value whatever was guessed."""
    member = known.get(path, AnswerMember(path=path, role="value", explanation="was asked for"))
    return msgspec.structs.replace(member, role="values" if member.role == "values" else "value")


def _text_members(structure: Structure, options: DraftOptions, used: _UsedPaths, names: _MemberNames) -> _NamedMembers:
    if options.tags:
        chosen = "was asked for"
        return [(AnswerMember(path=path, role="tag", explanation=chosen), name) for name, path in options.tags.items()]
    texts = [member for member in structure.with_roles("tag", "attribute") if not used.overlaps(member.path)]
    return [(member, names.choose_name(member.path)) for member in texts]


def _time_lines(structure: Structure, options: DraftOptions, used: _UsedPaths) -> tuple[list[str], list[str]]:
    """The lines of [time], and those of its zone."""
    guessed = [member for member in structure.with_roles("time") if not used.overlaps(member.path)]
    if options.time is None and not guessed:
        return ['format = "received" # nothing in the records looks like a time'], []
    path = options.time or guessed[0].path
    member = next((member for member in structure.members if member.path == path), None)
    form = options.time_format or (member.format if member else "") or "iso8601"
    lines = [f"path = {_quoted(path)}{_example_comment(member) if member else ''}"]
    texts = form in ("iso8601", "rfc3339")
    lines += [f"format = {_quoted(form)}"] if form != "iso8601" else []
    if not texts or (options.zone is None and (member is None or member.zoned)):
        return lines, []
    remark = "" if options.zone else " # the times have no offset: write the zone that they are in"
    return lines, ['offset = "optional"', f"zone = {_quoted(options.zone or 'UTC')}{remark}"]


def _source_lines(url: str, structure: Structure, options: DraftOptions, variables: Mapping[str, str]) -> list[str]:
    plain = url.replace("{", "%7B").replace("}", "%7D") if "${" not in url else url
    lines = ["", "[source]", f"url = {_quoted(_rename_references(plain, variables))}", f'every = "{options.every}"']
    if options.allow:
        lines += ["# Private networks are named here and by the server (TIDEMILL_SOURCE_ALLOW)."]
        lines += [f"allow = [{', '.join(map(_quoted, options.allow))}]"]
    if options.headers:
        written = {name: _header_text(name, text, variables) for name, text in options.headers.items()}
        lines += ["", "[source.headers]"]
        for name, text in written.items():
            if text != options.headers[name]:
                lines += ["# A secret stays out of this file: give the server what the variable is to hold."]
            lines += [f"{_key(name)} = {_quoted(text)}"]
    if {"start", "stop"} <= {name for name, _ in parse_qsl(urlsplit(url).query)}:
        lines += [
            "",
            "# To read it window by window, write start={start}&stop={stop} in the URL and:",
            "# [source.window]",
        ]
        lines += ['# start = "2026-01-01T00:00:00Z"', '# size = "1d"']
    if structure.next is not None and not url.count("cursor="):
        lines += ["", "# The answer may have a next page; to read them all:", "# [source.page]", '# by = "cursor"']
        lines += [f"# cursor_path = {_quoted(structure.next)}"]
        lines += ['# param = "cursor" # how the server wants to be given it']
    return lines


def _header_text(name: str, text: str, variables: Mapping[str, str]) -> str:
    if not SECRET_NAME.search(name) or "${" in text:
        return _rename_references(text, variables)
    variable = re.sub(r"[^A-Z0-9]+", "_", name.upper())
    return f"${{TIDEMILL_{variable}:-}}"


def _rename_references(text: str, variables: Mapping[str, str]) -> str:
    """The text with references to variables that a feed may not read, or that are not set, renamed to `TIDEMILL_...`,
    which a feed may read, empty by default."""

    def rename(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name in variables:
            return match[0]
        return f"${{{name if name.startswith('TIDEMILL_') else f'TIDEMILL_{name}'}{default or ':-'}}}"

    return _REFERENCE.sub(rename, text)


def _example_comment(member: AnswerMember | None) -> str:
    if member is None or member.example is None or isinstance(member.example, list):
        return ""
    return f" # {_printable(json.dumps(member.example, ensure_ascii=False))[:60]}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _quoted(text: Any) -> str:
    """A TOML text, without a character that a terminal or an editor would act on."""
    written = json.dumps(str(text), ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in written)


def _printable(text: str) -> str:
    """A text for a comment: one line, without what a terminal or an editor would act on."""
    return "".join(char if char.isprintable() else "?" for char in text)
