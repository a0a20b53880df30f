"""Whether the records of a source's items can be told apart. Asked where a definition is checked or applied, not where
it is read: a feed that is stored already stays what it was.
"""

from collections.abc import Iterator

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.definition import Feed
from tidemill.feeds.placeholders import names_in


def apart_findings(feed: Feed, *, has_source: bool) -> Iterator[DefinitionFault]:
    """The faults of an `each` that asks for several items which no tag tells apart, and of tags that hold what nobody
    asks for. `has_source`: the text has a [source], also where its URL was left empty."""
    asked = {name for tag in feed.tags.values() for name in names_in(tag.value or "")}
    if not has_source:
        for name, tag in feed.tags.items():
            if names_in(tag.value or ""):
                message = "what was asked for is known of payloads that a [source] fetches, and this feed has none"
                yield DefinitionFault(("tags", name, "value"), "conflict", message)
    if feed.source is None or feed.shape.kind == "samples":
        return
    if any(tag.value is None for tag in feed.tags.values()):  # it may say whose a record is
        return
    for name, text in feed.source.each.items():
        items = [item for item in text.split(",") if item.strip()]
        if name not in asked and (len(items) > 1 or "${" in text):
            message = (
                f"the records of its items cannot be told apart, and would replace each other: no tag says which was "
                f'asked for. Add a tag: [tags.{name}] with value = "{{{name}}}" (or with the path that tells it)'
            )
            yield DefinitionFault(("source", "each", name), "indistinct", message)
