"""The contract of a check. A check's options are its attributes; its docstring says when a record breaks it.

Other packages add checks by the entry-point group `tidemill.rules`: classes like those in this folder.
"""

from typing import Annotated, ClassVar, Literal

import msgspec
import polars as pl

Kind = Literal["value", "time", "text", "history"]


def meant(description: str) -> msgspec.Meta:
    """The annotation that describes an option in the documentation: `field: Annotated[str, meant("the number
    field")]`."""
    return msgspec.Meta(description=description)


class FeedColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a feed's records that checks can look at: names of number fields, tags and attributes (texts),
    whether there are labels, and whether number fields of other names may come (`registers`)."""

    fields: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    labels: bool = False
    registers: bool = False


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named check. `reason` is its reason code unless the rule names another; `kind` says what the check looks at,
    and `example` is the options of a rule as TOML, for the documentation.

    The expression of `broken` is evaluated over a frame with a row for each record: `time` (i64 ns UTC), `received_ns`
    (i64), `f.<field>` (f64 or null), `t.<tag>` and `a.<attribute>` (text or null), `labels` (list of text or null),
    `seq` (u64, the payload's offset) and `idx` (u32, the record's index in it). A check of another package may rely on
    these columns and on no others.
    """

    name: ClassVar[str]
    reason: ClassVar[str]
    kind: ClassVar[Kind] = "value"
    example: ClassVar[str] = ""
    example_action: ClassVar[str] = ""

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """The faults of the options for a feed with these columns, each (option, sentence); [] without faults."""
        return []

    def broken(self) -> pl.Expr:
        """A boolean expression: true where a record breaks the check, else false or null. It looks at one record only,
        never at its neighbours.

        The expression must name its columns (`pl.col("f.v")`, no selectors): the frame has only those, and an
        expression over tags only is evaluated once for each set of tags in a batch.
        """
        raise NotImplementedError(type(self).__name__)

    def broken_in(self, columns: FeedColumns) -> pl.Expr:
        """`broken` for a feed with these columns; only checks that look at every field need to know them."""
        return self.broken()

    def explain(self) -> str:
        """Why a record breaks the check, as the end of a sentence."""
        raise NotImplementedError(type(self).__name__)


class HistoryCheck(Check, frozen=True):
    """A check that compares a record with earlier points of its series: the current points that were submitted earlier
    and are earlier in time, not further back than `within`. `rules/history.py` evaluates it; `broken` is never called.
    `compares_with` says for people what these points are."""

    kind: ClassVar[Kind] = "history"
    compares_with: ClassVar[str] = (
        "points of the record's series that were accepted (flagged ones are, rejected ones are not), were sent before"
        " it, are earlier in time, and not by more than `within`; of several at one instant, the current one"
    )

    field: Annotated[str, meant("the number field")]
    within: Annotated[str, meant("how far back to look")] = "1d"
