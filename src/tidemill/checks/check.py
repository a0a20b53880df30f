"""What a check is. A check's options are its attributes; its docstring says when a record breaks it.

Other packages bring their own by the entry-point group `tidemill.rules`: a class like those in this folder.
"""

from typing import Annotated, ClassVar, Literal

import msgspec
import polars as pl

Kind = Literal["value", "time", "text", "history"]


def meant(description: str) -> msgspec.Meta:
    """What an option means, for its documentation: `field: Annotated[str, meant("the number field")]`."""
    return msgspec.Meta(description=description)


class FeedColumns(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed's records have for checks to look at: names of number fields, tags and attributes (texts), whether
    there are labels, and whether any other number field may come (`registers`)."""

    fields: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    labels: bool = False
    registers: bool = False


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named check. `reason` is the code it gives unless the rule names another; `kind` says what it looks at, and
    `example` is the options of a rule as TOML, for its documentation.

    The frame that `broken` is asked about has a row for each record: `time` (i64 ns UTC), `received_ns` (i64),
    `f.<field>` (f64 or null), `t.<tag>` and `a.<attribute>` (text or null), `labels` (list of text or null), `seq`
    (u64) and `idx` (u32): the record's place. A check of other people may rely on these and on no others.
    """

    name: ClassVar[str]
    reason: ClassVar[str]
    kind: ClassVar[Kind] = "value"
    example: ClassVar[str] = ""

    def faults(self, columns: FeedColumns) -> list[tuple[str, str]]:
        """What is wrong with the options for such a feed: (option, sentence) each; [] when nothing is."""
        return []

    def broken(self) -> pl.Expr:
        """Where a record breaks the check: true; else false or null. Of one record only, never of its neighbours.

        It names the columns that it looks at (`pl.col("f.v")`, no selectors): only those are laid out for it, and a
        check that looks at nothing but tags is asked once for each set of tags that a batch holds.
        """
        raise NotImplementedError(type(self).__name__)

    def explain(self) -> str:
        """What a record did to break the check, as the end of a sentence."""
        raise NotImplementedError(type(self).__name__)


class HistoryCheck(Check, frozen=True):
    """A check that compares a record with what its series held before: the points that stand, were submitted earlier
    and are earlier in time, not further back than `within`. `rules/history.py` asks it; `broken` is never called.
    """

    kind: ClassVar[Kind] = "history"

    field: Annotated[str, meant("the number field")]
    within: Annotated[str, meant("how far back to look")] = "1d"
