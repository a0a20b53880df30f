"""Tags that stand in no record: a fixed text, or what the source asked for when it fetched the payload."""

from collections.abc import Mapping

import msgspec

from tidemill.feeds.definition import Feed
from tidemill.feeds.placeholders import filled, names_in
from tidemill.model.payload import split_format


class Given(msgspec.Struct, frozen=True):
    """One such tag: its `value` with placeholders."""

    name: str
    value: str
    required: bool
    max_length: int

    def text(self, asked: Mapping[str, str]) -> str | None:
        """The tag of a payload that was fetched with these variables; None where it has none."""
        if any(not asked.get(name) for name in names_in(self.value)):
            return None
        return filled(self.value, asked)

    def fault(self, asked: Mapping[str, str]) -> tuple[str, str] | None:
        """The code and the sentence of the fault of such a payload, if it has one."""
        text = self.text(asked)
        if text is None and self.required:
            lacking = next(name for name in names_in(self.value) if not asked.get(name))
            why = "this payload was not fetched by a source that asked with it"
            return "missing", f"the tag '{self.name}' is what was asked for as {{{lacking}}}, and {why}"
        if text is not None and len(text) > self.max_length:
            message = f"the tag '{self.name}' has {len(text)} characters, at most {self.max_length} are allowed"
            return "too_long", message
        return None


def given_tags(feed: Feed) -> tuple[Given, ...]:
    """The tags of a feed that stand in no record."""
    return tuple(
        Given(name, tag.value, tag.required, tag.max_length) for name, tag in feed.tags.items() if tag.value is not None
    )


def given_fault(given: tuple[Given, ...], asked: Mapping[str, str]) -> tuple[str, str] | None:
    """The first fault of the given tags of a payload."""
    return next((fault for tag in given if (fault := tag.fault(asked)) is not None), None)


def given_texts(given: tuple[Given, ...], formats: list[str]) -> list[list[str | None]]:
    """For each given tag its text in each payload, by the payloads' formats."""
    asked = [split_format(form)[1] for form in formats]
    return [[tag.text(one) for one in asked] for tag in given]
