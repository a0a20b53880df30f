"""A feed definition to start from, made of what an answer looks like and what its asker said. Always one that loads.

What a guess rests on stands beside it as a comment. Secrets are never written: they become variables.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tidemill.feeds.validate import RESERVED
from tidemill.sources.structure import AnswerMember, Structure

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}")
SECRET: Final = re.compile(r"(auth|key|token|secret|cookie|pass)", re.IGNORECASE)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the asker said, over what was guessed. `tags` and `fields`: name -> path, instead of all guessed ones."""

    name: str = ""
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


def draft(url: str, found: Structure, wish: Wish, variables: Mapping[str, str] | None = None) -> str | None:
    """The TOML text of a feed that polls `url`; None where there is nothing that could be a field. `variables` are
    those that a [source] may read: a reference to another one is given a name that it may."""
    used = _Used([wish.time, *wish.tags.values(), *wish.fields.values()])
    names = _Names([*wish.tags, *wish.fields])
    fields = _fields(found, wish, used, names)
    registers = found.registers and not wish.fields
    if not fields and not registers:
        return None
    time, zone = _time(found, wish, used)
    lines = [
        f"name = {_quoted(wish.name or feed_name(url))}",
        f"title = {_quoted(f'Fetched from {urlsplit(url).hostname or url}')}",
        'duplicates = "last" # of two records of one series and time the later one stays',
        "",
        "[input]",
        f'formats = ["{found.format}"]',
        *([f"records = {_quoted(found.records)}"] if found.records != "$" else []),
        'on_fault = "reject" # a record that does not fit goes to the ledger, the others are taken',
        "",
        "[time]",
        *time,
        *zone,
    ]
    for member, name in _texts(found, wish, used, names):
        table = "attributes" if member.role == "attribute" else "tags"
        lines += ["", f"[{table}.{_key(name)}]", f"path = {_quoted(member.path)}{_example(member)}"]
        lines += ["required = false"] if table == "tags" and not member.required else []
    for labels in [member for member in found.of("labels") if not used.overlaps(member.path)][:1]:
        lines += ["", "[labels] # for rules to look at", f"path = {_quoted(labels.path)}"]
    for member, name in fields if not registers else []:
        lines += ["", f"[fields.{_key(name)}]", f"path = {_quoted(member.path)}{_example(member)}"]
        lines += [f'type = "{member.type}"'] if member.type != "number" else []
        lines += ["required = false"] if not member.required and member.role != "values" else []
    if registers:
        read = [*(member.path for member in found.members if member.role != "value"), *used.paths]
        others = dict.fromkeys(path.split(".")[1] for path in read if "." in path)
        lines += ["", "[registers] # every other member is a field of its own name"]
        lines += [f"except_keys = [{', '.join(map(_quoted, others))}]"]
    if fields and all(member.role == "values" for member, _ in fields):
        lines += ["", "[shape] # mean, stddev and count of the numbers of a record", 'kind = "summary"']
    for member in found.of("unused"):
        lines += ["", f"# {_safe(f'{member.path} {member.looks}')}."] if not used.overlaps(member.path) else []
    return "\n".join([*lines, *_source(url, found, wish, variables or {})]) + "\n"


def feed_name(url: str) -> str:
    """A name for the feed of a URL: its last telling part."""
    parts = urlsplit(url)
    words = [*filter(None, parts.path.split("/")), (parts.hostname or "").split(".")[0]]
    telling = [word for word in map(_plain_word, reversed(words[:-1])) if word] or [_plain_word(words[-1])]
    return telling[0] or "source"


def _plain_word(word: str) -> str:
    return re.sub(r"^[^a-z]+", "", _ODD.sub("-", word.rpartition(".")[0] or word).lower()).strip("-")[:40]


class _Used:
    """The paths that the asker gave a use (null: none). A member at, above or below such a path has no other use."""

    def __init__(self, paths: Sequence[str | None]) -> None:
        self.paths = [path for path in paths if path]

    def overlaps(self, path: str) -> bool:
        """Whether a path is one of these, or above or below one."""
        return any(f"{path}.".startswith(f"{used}.") or used.startswith(f"{path}.") for used in self.paths)


class _Names:
    """Gives members names that a feed may have: letters, digits, `_` and `-`, a letter first, at most 64; not reserved,
    and each its own. `taken` are the names that the asker gave."""

    def __init__(self, taken: Sequence[str]) -> None:
        self._taken: set[str] = {*RESERVED, *taken}

    def take(self, path: str) -> str:
        """The shortest end of a path that is a free name."""
        parts = [_ODD.sub("_", part).strip("_") for part in path.split(".")[1:]]
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
    """A name with a letter first; "" stays."""
    return name if name[:1].isalpha() or not name else f"m_{name}"


def _fields(found: Structure, wish: Wish, used: _Used, names: _Names) -> list[tuple[AnswerMember, str]]:
    if wish.fields:
        known = {member.path: member for member in found.members}
        wanted = [(_asked(path, known), name) for name, path in wish.fields.items()]
        # Many numbers are summarised, and a summary has one field.
        return [pair for pair in wanted if pair[0].role != "values"] or wanted[:1]
    values = [member for member in found.of("value") if not used.overlaps(member.path)]
    values = values or [member for member in found.of("values") if not used.overlaps(member.path)][:1]
    return [(member, names.take(member.path)) for member in values]


def _asked(path: str, known: Mapping[str, AnswerMember]) -> AnswerMember:
    """The member at a path, as a value whatever it looks like."""
    member = known.get(path, AnswerMember(path=path, role="value", looks="was asked for"))
    return msgspec.structs.replace(member, role="values" if member.role == "values" else "value")


def _texts(found: Structure, wish: Wish, used: _Used, names: _Names) -> list[tuple[AnswerMember, str]]:
    if wish.tags:
        return [(AnswerMember(path=path, role="tag", looks="was asked for"), name) for name, path in wish.tags.items()]
    texts = [member for member in found.of("tag", "attribute") if not used.overlaps(member.path)]
    return [(member, names.take(member.path)) for member in texts]


def _time(found: Structure, wish: Wish, used: _Used) -> tuple[list[str], list[str]]:
    """The lines of [time], and those of its zone."""
    guessed = [member for member in found.of("time") if not used.overlaps(member.path)]
    if wish.time is None and not guessed:
        return ['format = "received" # nothing in the records looks like a time'], []
    path = wish.time or guessed[0].path
    member = next((one for one in found.members if one.path == path), None)
    form = wish.time_format or (member.format if member else "") or "rfc3339"
    lines = [f"path = {_quoted(path)}{_example(member) if member else ''}"]
    lines += [f"format = {_quoted(form)}"] if form != "rfc3339" else []
    if form != "rfc3339" or (wish.zone is None and (member is None or member.zoned)):
        return lines, []
    remark = "" if wish.zone else " # the times have no offset: write the zone that they are in"
    return lines, ['offset = "optional"', f"zone = {_quoted(wish.zone or 'UTC')}{remark}"]


def _source(url: str, found: Structure, wish: Wish, variables: Mapping[str, str]) -> list[str]:
    plain = url.replace("{", "%7B").replace("}", "%7D") if "${" not in url else url
    lines = ["", "[source]", f"url = {_quoted(_renamed(plain, variables))}", f'every = "{wish.every}"']
    if wish.allow:
        lines += ["# Private networks are named here and by the server (TIDEMILL_SOURCE_ALLOW)."]
        lines += [f"allow = [{', '.join(map(_quoted, wish.allow))}]"]
    if wish.headers:
        written = {name: _header(name, text, variables) for name, text in wish.headers.items()}
        lines += ["", "[source.headers]"]
        for name, text in written.items():
            if text != wish.headers[name]:
                lines += ["# A secret stays out of this file: give the server what the variable is to hold."]
            lines += [f"{_key(name)} = {_quoted(text)}"]
    if {"start", "stop"} <= {name for name, _ in parse_qsl(urlsplit(url).query)}:
        lines += [
            "",
            "# To read it window by window, write start={start}&stop={stop} in the URL and:",
            "# [source.window]",
        ]
        lines += ['# start = "2026-01-01T00:00:00Z"', '# size = "1d"']
    if found.next is not None and not url.count("cursor="):
        lines += ["", "# The answer may have a next page; to read them all:", "# [source.page]", '# by = "cursor"']
        lines += [f"# cursor_path = {_quoted(found.next)}", '# param = "cursor" # how the server wants to be given it']
    return lines


def _header(name: str, text: str, variables: Mapping[str, str]) -> str:
    if not SECRET.search(name) or "${" in text:
        return _renamed(text, variables)
    variable = re.sub(r"[^A-Z0-9]+", "_", name.upper())
    return f"${{TIDEMILL_{variable}:-}}"


def _renamed(text: str, variables: Mapping[str, str]) -> str:
    """References to variables that a feed may not read, or that are not set, as ones that it may, empty by default."""

    def one(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name in variables:
            return match[0]
        return f"${{{name if name.startswith('TIDEMILL_') else f'TIDEMILL_{name}'}{default or ':-'}}}"

    return _REFERENCE.sub(one, text)


def _example(member: AnswerMember | None) -> str:
    if member is None or member.example is None or isinstance(member.example, list):
        return ""
    return f" # {_safe(json.dumps(member.example, ensure_ascii=False))[:60]}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _quoted(text: Any) -> str:
    """A TOML text, without a character that a terminal or an editor would act on."""
    written = json.dumps(str(text), ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in written)


def _safe(text: str) -> str:
    """A text for a comment: one line, without what a terminal or an editor would act on."""
    return "".join(char if char.isprintable() else "?" for char in text)
