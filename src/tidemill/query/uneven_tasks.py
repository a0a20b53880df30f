"""The tasks of worker processes for analyses that take samples at uneven times: see `analysis_tasks.py`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.errors import InputError, LimitError, NotEnoughPointsError, SeriesError
from tidemill.query.analysis_tasks import TaskSubject, head_of
from tidemill.query.plain_answers import encode_answer, plain

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def coverage(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """How complete the series is: CoverageAnswer. `options`: `start` and `end` (ns, or None), `interval_ns` with who
    expects it (`interval_by`), and the `most` gaps to list."""
    from tidemill.analysis.gaps import coverage as make

    start, end = options["start"], options["end"]
    if start is not None and len(times_ns):
        start = min(start, int(times_ns[0]))  # a window of `every` may begin before the range
    result = make(
        times_ns,
        values,
        interval_ns=options["interval_ns"],
        from_ns=start,
        to_ns=end,
        tz=subject.tz,
        most=options["most"],
    )
    members: dict[str, Any] = plain(result, subject.tz)
    members["interval_by"] = options["interval_by"] if result.interval else None
    return encode_answer(head_of(subject, times_ns), members | {"notes": list(_notes(result.count, result.interval))})


def _notes(count: int, interval: str | None) -> Iterator[str]:
    if interval is None and count < 2:
        yield f"The interval of {count} values is not known: give the expected one, such as interval=15m."
    elif interval is None:
        yield "The values have no common interval, so that nothing says how many are expected: give it (interval=15m)."


def periodogram(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The periodogram of the series: PeriodogramAnswer. `options` are those of the analysis."""
    from tidemill.analysis.lomb_scargle import periodogram as make

    try:
        result = make(times_ns, values, **options)
    except NotEnoughPointsError as error:
        message = f"{error.message}: ask for a longer range, or for shorter windows (every=)"
        raise NotEnoughPointsError(error.present, error.needed, message) from None
    except LimitError as error:
        message = f"{error.message} (highest_hz=), for longer windows (every=1h), or for a shorter range"
        raise LimitError(error.limit, error.allowed, message) from None
    except InputError as error:
        raise SeriesError(f"{error.message}: ask for others with lowest_hz= and highest_hz=") from None
    return encode_answer(head_of(subject, times_ns), plain(result))


def comparison(
    subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any], second: tuple[Integers, Floats]
) -> bytes:
    """Two sides compared: ComparisonAnswer. `options`: the id of the `other` series, and the `level` in percent."""
    from tidemill.analysis.comparison import compare

    for name, column, ask in (("first", values, "start= and end="), ("second", second[1], "with_start= and with_end=")):
        if np.isnan(column).all():
            message = f"a comparison needs values on both sides; the {name} has none: ask for another range with {ask}"
            raise NotEnoughPointsError(0, 1, message)
    level = options["level"]
    result = compare(times_ns, values, *second, tz=subject.tz, unit=subject.head["unit"], level=level / 100)
    answer = {"other": options["other"], **plain(result, subject.tz), "level": level}
    return encode_answer(head_of(subject, times_ns), answer)
