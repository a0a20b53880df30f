"""What can be read of rejected records: the values of their fields and their tags, each by itself, whatever else is
wrong with the record. The ledger has their texts; each member is read from these as the feed version says.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from tidemill.decode.decoder import DEEPEST, Decoder
from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed, Field, Input, Layout, Tag
from tidemill.feeds.paths import in_record, parse_path
from tidemill.feeds.time_policy import TimePolicy
from tidemill.model.payload import LogEntry, Payload

_RECEIVED: Final = TimePolicy(format="received")


class ReadMembers(msgspec.Struct, frozen=True):
    """What was read of one record: its fields (a field that cannot be read, or is null, is absent) and its tags."""

    values: dict[str, float]
    tags: dict[str, str]


NOTHING_READ: Final = ReadMembers({}, {})


def read_members(book: FeedBook, tenant: str, rows: Sequence[Mapping[str, Any]]) -> list[ReadMembers]:
    """What can be read of each rejected record (`feed`, `rules_version`, `record`: its text)."""
    read = [ReadMembers({}, {}) for _ in rows]
    versions: dict[tuple[str, int], list[int]] = {}
    for number, row in enumerate(rows):
        versions.setdefault((row["feed"], row["rules_version"]), []).append(number)
    for (name, version), numbers in versions.items():
        try:
            feed = book.version(tenant, name, version)
        except (NotFoundError, FeedDefinitionError):
            continue
        _read_version(feed, {number: rows[number]["record"].encode("utf-8", "replace") for number in numbers}, read)
    return read


def _read_version(feed: Feed, texts: Mapping[int, bytes], read: list[ReadMembers]) -> None:
    if feed.shape.kind == "samples":
        for number, text in texts.items():
            try:
                read[number].values["value"] = msgspec.json.decode(text, type=float)
            except (msgspec.MsgspecError, UnicodeError):  # the first record has the text of the whole series
                continue
        return
    form = "json" if feed.input.layout is None else "hex"
    entries = [
        LogEntry(number, Payload("", "", feed.name, feed.version, 0, form, text, b"")) for number, text in texts.items()
    ]
    for decoder in _decoders(feed):
        batch = decoder.decode_batch(entries)
        tags = [{pair["key"]: pair["value"] for pair in pairs} for pairs in batch.identities["tags"].to_list()]
        names = [name for name in batch.frame.columns if name.startswith("f.")]
        for row in batch.frame.select("seq", "identity", *names).iter_rows(named=True):
            read[row["seq"]].tags.update(tags[row["identity"]])
            known = {name[2:]: row[name] for name in names if isinstance(row[name], float)}
            read[row["seq"]].values.update(known)
        for seq, field, value in () if batch.registers is None else batch.registers.drop("idx").iter_rows():
            read[seq].values[field] = value


def _decoders(feed: Feed) -> tuple[Decoder, ...]:
    """A decoder for each member of a feed that is in its records; made once for each version."""
    return _kept_decoders(_Version(feed))


class _Version:
    """A feed version as a key of the cache: versions never change, and hold what cannot be hashed."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def __hash__(self) -> int:
        return id(self.feed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Version) and other.feed is self.feed


@lru_cache(maxsize=200)
def _kept_decoders(version: _Version) -> tuple[Decoder, ...]:
    return tuple(Decoder(feed, max_depth=DEEPEST) for feed in _single_members(version.feed))


def _single_members(feed: Feed) -> Iterator[Feed]:
    """The feed with one member at a time, over payloads that are one record each."""
    layout = feed.input.layout
    formats = ("json",) if layout is None else ("hex",)
    alone = None if layout is None else Layout(record_bytes=layout.record_bytes)
    single = msgspec.structs.replace(
        feed,
        input=Input(formats=formats, on_fault="reject", not_exact="round", layout=alone),
        time=_RECEIVED,
        tags={},
        attributes={},
        fields={},
        registers=None,
        labels=None,
        rules=(),
        shape=msgspec.structs.replace(feed.shape, kind="points"),
    )
    for name, tag in feed.tags.items():
        if tag.value is None and _is_alone(tag):
            yield msgspec.structs.replace(single, tags={name: msgspec.structs.replace(tag, required=True)})
    for name, field in feed.fields.items():
        if not field.is_array and _is_alone(field):
            yield msgspec.structs.replace(
                single, fields={name: msgspec.structs.replace(field, required=True, min=None, max=None)}
            )
    if feed.registers is not None:
        yield msgspec.structs.replace(single, registers=feed.registers)


def _is_alone(member: Tag | Field) -> bool:
    """Whether a member is in its record, with all that says how it is read."""
    paths = [member.path]
    if isinstance(member, Field):
        paths += [member.unit_path, member.scale_path, member.exponent_path]
    return member.in_ == "record" and all(in_record(parse_path(path)) for path in paths if path is not None)
