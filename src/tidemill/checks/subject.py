"""Base classes of checks that look at exactly one of a field, a tag, an attribute or the labels, named by an option."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Final

import polars as pl

from tidemill.checks.check import Check, FeedColumns, Kind, meant
from tidemill.checks.faults import attribute_faults, field_faults, label_faults, tag_faults

_NAMED: Final = {"field": field_faults, "tag": tag_faults, "attribute": attribute_faults}
_PREFIX: Final = {"field": "f", "tag": "t", "attribute": "a"}


class TextCheck(Check, frozen=True, kw_only=True):
    """A check of one text of a record: of a tag, of an attribute, or of each label."""

    kind: ClassVar[Kind] = "text"

    tag: Annotated[str | None, meant("the tag to look at")] = None
    attribute: Annotated[str | None, meant("the attribute to look at")] = None
    labels: Annotated[bool, meant("look at each label")] = False

    @property
    def subjects(self) -> dict[str, str | bool]:
        """The named field, tag, attribute or labels, by option."""
        every = {option: getattr(self, option, None) for option in (*_NAMED, "labels")}
        return {option: name for option, name in every.items() if name}

    @property
    def column(self) -> pl.Expr:
        """The column of the field, tag, attribute or labels."""
        option, name = next(iter(self.subjects.items()))
        return pl.col("labels" if option == "labels" else f"{_PREFIX[option]}.{name}")

    @property
    def subject(self) -> str:
        """The field, tag, attribute or label, for a sentence."""
        option, name = next(iter(self.subjects.items()))
        return "a label" if option == "labels" else f"the {option} '{name}'"

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """Exactly one of the options must be given, and the feed must have what it names."""
        options = [option for option in (*_NAMED, "labels") if option in self.__struct_fields__]
        faults = [
            fault
            for option, name in self.subjects.items()
            for fault in (
                label_faults(columns, option) if option == "labels" else _NAMED[option](columns, str(name), option)
            )
        ]
        if len(self.subjects) != 1:
            faults.append((next(iter(self.subjects), options[0]), f"name exactly one of {', '.join(options)}"))
        return faults

    def where(self, bad: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
        """True where the text, or any of the labels, is `bad`; null where there is none."""
        if self.labels:
            return pl.col("labels").list.eval(bad(pl.element())).list.any()
        return bad(self.column)


class SubjectCheck(TextCheck, frozen=True, kw_only=True):
    """A check of a text or of a number."""

    field: Annotated[str | None, meant("the number field to look at")] = None
