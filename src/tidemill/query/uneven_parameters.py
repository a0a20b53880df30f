"""The queries of analyses that take samples at uneven times: coverage, periodogram, and comparison."""

from typing import Annotated, Final

from tidemill.query import number_readers, readers
from tidemill.query.analysis_parameters import AnalysisQuery, Level, whole_number
from tidemill.query.parameters import INSTANT, TEXT, Parameter, limit_to

MAX_GAPS: Final = 1_000
MAX_OVERSAMPLING: Final = 100
_NUMBER: Final = {"type": "number"}


def fixed_length(text: str, context: readers.Context) -> readers.WindowLength:
    """A length such as `15m` or `1d`, and no months or years."""
    length = readers.window(text, context)
    if length.unit in ("mo", "y"):
        raise ValueError(f"'{text[:40]}' has no fixed length; months and years are recognised without `interval`")
    return length


def _frequency(description: str) -> Parameter:
    return Parameter(description, number_readers.number_from(0, 1e12), _NUMBER)


class CoverageQuery(AnalysisQuery, frozen=True):
    """The coverage of [start, end), or from the first sample to an interval after the last."""

    interval: Annotated[
        readers.WindowLength | None,
        Parameter(
            "How often a value is expected: 500ms, 15m, 1d. Without it as the feed says, else as the times show.",
            fixed_length,
            TEXT,
        ),
    ] = None
    limit: Annotated[int, limit_to(MAX_GAPS)] = MAX_GAPS


class PeriodogramQuery(AnalysisQuery, frozen=True):
    """The periodogram of the samples in [start, end)."""

    lowest_hz: Annotated[
        float | None, _frequency("The lowest frequency in Hz; without it one cycle in the span of the samples.")
    ] = None
    highest_hz: Annotated[
        float | None,
        _frequency("The highest frequency in Hz; without it half of one over the median interval."),
    ] = None
    oversampling: Annotated[
        int, whole_number("Frequencies in one over the span of the samples.", 1, MAX_OVERSAMPLING)
    ] = 5
    peaks: Annotated[int, whole_number("Peaks of the periodogram, the strongest first.", 0, 100)] = 5


class ComparisonQuery(AnalysisQuery, frozen=True):
    """The samples in [start, end), the first side, with those of a second side: another series, another period, or
    both."""

    other: Annotated[
        str | None,
        Parameter("The id of the series of the second side; by default this one.", readers.series_word, TEXT, "with"),
    ] = None
    with_start: Annotated[
        int | None,
        Parameter("First instant of the second side, as `start`, which it is by default.", readers.instant, INSTANT),
    ] = None
    with_end: Annotated[
        int | None,
        Parameter(
            "Last instant of the second side, excluded, as `end`, which it is by default.", readers.instant, INSTANT
        ),
    ] = None
    level: Level = 95.0
