"""Says what a series is: the first rule that fits, in sentences with the figures filled in. No language model."""

from typing import Final, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.description.figures import Figures
from tidemill.analysis.description.measure import measure_figures
from tidemill.analysis.description.rules import Kind, kind_of
from tidemill.analysis.description.sentences import SpokenSeries, sentences

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class SeriesDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What a series is: its `kind`, the `sentences` that say so, and the figures behind them. Hours are those of `tz`
    (null: UTC)."""

    kind: Kind
    sentences: list[str]
    tz: str | None
    unit: str | None
    figures: Figures


def describe(
    times_ns: Integers,
    values: Floats,
    *,
    tz: str | None = None,
    unit: str | None = None,
    name: str | None = None,
) -> SeriesDescription:
    """What the series is whose `values` (float64; NaN: missing) are at ascending `times_ns` (int64 ns, UTC).

    `tz` (an IANA name) is the zone of its hours and days, `unit` its unit as `model/units.py` knows them, `name` that
    of its field: a register code (OBIS) says what values alone do not. The first rule of `rules.RULES` that fits gives
    the kind. Any series has a description: an empty one, one value, a constant and uneven times too.
    """
    figures = measure_figures(times_ns, values, tz, unit, name)
    kind = kind_of(figures)
    return SeriesDescription(
        kind=kind, sentences=sentences(kind, SpokenSeries(figures, tz, unit)), tz=tz, unit=unit, figures=figures
    )
