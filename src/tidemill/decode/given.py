"""Tags that are not members of a record: a fixed text, or a variable of the source's request for the payload."""

from collections.abc import Mapping

import msgspec

from tidemill.feeds.definition import Feed
from tidemill.feeds.placeholders import fill_placeholders, placeholder_names
from tidemill.model.payload import split_format


class Given(msgspec.Struct, frozen=True):
    """A tag with its `value`, a text that may have placeholders."""

    name: str
    value: str
    required: bool
    max_length: int

    def text(self, variables: Mapping[str, str]) -> str | None:
        """The tag's text for a payload that was fetched with these variables; None where a variable is missing."""
        if any(not variables.get(name) for name in placeholder_names(self.value)):
            return None
        return fill_placeholders(self.value, variables)

    def fault(self, variables: Mapping[str, str]) -> tuple[str, str] | None:
        """(code, sentence) of the tag's fault for a payload that was fetched with these variables, or None."""
        text = self.text(variables)
        if text is None and self.required:
            lacking = next(name for name in placeholder_names(self.value) if not variables.get(name))
            why = "this payload was not fetched by a source that asked with it"
            return "missing", f"the tag '{self.name}' is what was asked for as {{{lacking}}}, and {why}"
        if text is not None and len(text) > self.max_length:
            message = f"the tag '{self.name}' has {len(text)} characters, at most {self.max_length} are allowed"
            return "too_long", message
        return None


def given_tags(feed: Feed) -> tuple[Given, ...]:
    """The tags of a feed that have a `value`."""
    return tuple(
        Given(name, tag.value, tag.required, tag.max_length) for name, tag in feed.tags.items() if tag.value is not None
    )


def given_fault(given: tuple[Given, ...], variables: Mapping[str, str]) -> tuple[str, str] | None:
    """(code, sentence) of the first fault of these tags for a payload, or None."""
    return next((fault for tag in given if (fault := tag.fault(variables)) is not None), None)


def given_texts(given: tuple[Given, ...], formats: list[str]) -> list[list[str | None]]:
    """For each given tag its text in each payload; the payloads' `formats` have their variables."""
    variables = [split_format(form)[1] for form in formats]
    return [[tag.text(payload_variables) for payload_variables in variables] for tag in given]
