"""What a request for lineage asks: of a point (`time`) or of a window (`window`), one of the two."""

from typing import Final, Protocol

from tidemill.errors import Fault, InputError
from tidemill.query import answers, readers
from tidemill.query.answers import Page
from tidemill.query.lineage import LineageQueries
from tidemill.query.parameters import UNIT, Asked, Parameter, limit
from tidemill.query.seals import SEALED_CURSOR
from tidemill.query.window_lineage import WindowLineageQueries

_INSTANT: Final = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800"]}
_TEXT: Final = "RFC 3339, a date (midnight UTC), or a number since the epoch with `unit`."

LINEAGE_PARAMETERS: Final = (
    Parameter("time", f"Of the point at this instant. {_TEXT}", readers.instant, _INSTANT),
    Parameter("window", f"Of the rollup window that begins at this instant. {_TEXT}", readers.instant, _INSTANT),
    UNIT,
    limit(100, 1000),
    SEALED_CURSOR,
)


class Areas(Protocol):
    """The areas that answer."""

    lineage: LineageQueries
    windows: WindowLineageQueries


def lineage(areas: Areas, tenant: str, series: str, asked: Asked) -> Page:
    """The lineage by LINEAGE_PARAMETERS. Raises InputError unless one of `time` and `window` is given."""
    at, window = asked["time"], asked["window"]
    if (at is None) == (window is None):
        message = "give 'time' for a point or 'window' for a rollup window, one of the two"
        code = "missing" if at is None else "contradiction"
        raise InputError(message, (Fault("$query.time", code, message),))
    if window is not None:
        found = areas.windows.window(tenant, series, window, asked)
        return answers.encoded(found, found.next)
    return answers.encoded(areas.lineage.point(tenant, series, at))
