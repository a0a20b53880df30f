"""Routes of analyses that take samples at uneven times: coverage, periodogram, and comparison.

As those of `analysis_reads.py`, they compute nothing here.
"""

from typing import Any, Final

import msgspec
from litestar import Response

from tidemill.api.analysis_computation import ANALYSIS_LIMIT, answer_analysis
from tidemill.api.reads_common import ReadCall, answer_specs, ask_store, reading
from tidemill.errors import Fault, InputError, NotFoundError, SeriesError
from tidemill.model.time import duration_ns
from tidemill.query.analysis import AnalysedSeries, answered_unit
from tidemill.query.uneven_answers import ComparisonAnswer, CoverageAnswer, PeriodogramAnswer
from tidemill.query.uneven_parameters import ComparisonQuery, CoverageQuery, PeriodogramQuery

_TASKS: Final = "tidemill.query.uneven_tasks"


@reading(
    "/v1/series/{series:str}/coverage",
    CoverageQuery,
    tags=["analysis"],
    summary="Coverage and gaps of a series",
    responses=answer_specs(CoverageAnswer, f"How many of the expected values are there. {ANALYSIS_LIMIT}", tagged=True),
)
async def get_coverage(call: ReadCall[CoverageQuery], series: str) -> Response[bytes]:
    """How many of the values that are expected in [start, end) are there, and where the gaps are. `evidence=true` of
    `GET /v1/points` says why a gap is one."""
    query = call.query
    interval_ns, by = await ask_store(lambda: _expected_interval(call, series))
    options = {"start": query.start, "end": query.end, "most": query.limit, "interval_ns": interval_ns}
    return await answer_analysis(
        call, series, f"{_TASKS}:coverage", options | {"interval_by": by}, depends_on=(interval_ns, by)
    )


def _expected_interval(call: ReadCall[CoverageQuery], series: str) -> tuple[int | None, str]:
    """The expected interval in ns (None: as the times show it), and who expects it."""
    query = call.query
    if query.interval is not None:
        return query.interval.nominal_ns, "request"
    if query.every is not None:
        return None, "times"
    described = call.queries.series.describe(call.tenant, series)
    try:
        feed = call.services.book.newest(call.tenant, described.feed)
    except NotFoundError:
        return None, "times"
    declared = feed.rollups.interval if feed.rollups else None
    return (duration_ns(declared), "feed") if declared else (None, "times")


@reading(
    "/v1/series/{series:str}/periodogram",
    PeriodogramQuery,
    tags=["analysis"],
    summary="Periodogram of a series with uneven times",
    responses=answer_specs(PeriodogramAnswer, f"Power by frequency, and the peaks. {ANALYSIS_LIMIT}", tagged=True),
)
async def get_periodogram(call: ReadCall[PeriodogramQuery], series: str) -> Response[bytes]:
    """Which cycles a series has whose samples come at any times (Lomb and Scargle), as `spectrum` says it of even ones:
    the share of the variance that a sine of each frequency explains, and of each peak how likely it is chance."""
    query = call.query
    if query.lowest_hz is not None and query.highest_hz is not None and query.lowest_hz > query.highest_hz:
        message = "lowest_hz is above highest_hz"
        raise InputError(message, (Fault("$query.lowest_hz", "out_of_order", message),))
    names = ("lowest_hz", "highest_hz", "oversampling", "peaks")
    options = {name: getattr(query, name) for name in names}
    return await answer_analysis(call, series, f"{_TASKS}:periodogram", options)


@reading(
    "/v1/series/{series:str}/comparison",
    ComparisonQuery,
    tags=["analysis"],
    summary="Comparison of two periods or two series",
    responses=answer_specs(
        ComparisonAnswer, f"What differs, and whether it may be chance. {ANALYSIS_LIMIT}", tagged=True
    ),
)
async def get_comparison(call: ReadCall[ComparisonQuery], series: str) -> Response[bytes]:
    """The samples in [start, end) beside those of another period of the series (`with_start`, `with_end`), of another
    series (`with`), or both: means, totals and profiles, and whether the difference is more than chance."""
    query = call.query
    if query.other is None and query.with_start is None and query.with_end is None:
        message = "say what to compare with: with= (the id of a series), or with_start= and with_end= (a period)"
        raise InputError(message, (Fault("$query.with", "missing", message),))
    second = _second_side(query)
    other = query.other or series
    subject = await ask_store(lambda: call.queries.analysis.subject(call.tenant, other, second.start, second.end))
    unit = answered_unit(subject.described.unit, query)
    await _check_unit(call, series, subject, unit)
    options = {"other": subject.id, "level": query.level}
    return await answer_analysis(call, series, f"{_TASKS}:comparison", options, second=(subject, second))


def _second_side(query: ComparisonQuery) -> ComparisonQuery:
    """The query of the samples of the second side. Raises InputError where it ends before it starts."""
    start = query.start if query.with_start is None else query.with_start
    end = query.end if query.with_end is None else query.with_end
    if start is not None and end is not None and start > end:
        message = "the second side would start after its end: give with_start= and with_end="
        raise InputError(message, (Fault("$query.with_start", "out_of_order", message),))
    return msgspec.structs.replace(query, start=start, end=end)


async def _check_unit(call: ReadCall[Any], series: str, other: AnalysedSeries, unit: str | None) -> None:
    """Raises SeriesError where the units of two series differ: their difference would have none."""
    described = await ask_store(lambda: call.queries.series.describe(call.tenant, series))
    own = answered_unit(described.unit, call.query)
    if own != unit:
        message = (
            f"the units differ: {own or 'none'}, and of {other.id} {unit or 'none'}. Compare series of one unit; "
            "`correlation` says how two of different units go together."
        )
        raise SeriesError(message, (Fault("$query.with", SeriesError.code, message),))


UNEVEN_ROUTES: Final = [get_coverage, get_periodogram, get_comparison]
