"""The Python client of a Tidemill server: `Tidemill` for plain code, `AsyncTidemill` for asyncio, one set of calls.

Needs a server to speak to, and no part of one: neither the engine nor the web framework is imported.
"""

from tidemill.client.clients import AsyncTidemill, Tidemill
from tidemill.client.documents import PayloadReceipt, SeriesInfo
from tidemill.client.forecast_documents import DescribedSeries, KeptForecast, KeptScore, SeriesForecast
from tidemill.client.problems import (
    AccessProblemError,
    ConflictProblemError,
    InputProblemError,
    NotFoundProblemError,
    ProblemError,
    UnavailableProblemError,
)
from tidemill.errors import Fault, MissingPackageError, UnavailableError

__all__ = [
    "AccessProblemError",
    "AsyncTidemill",
    "ConflictProblemError",
    "DescribedSeries",
    "Fault",
    "InputProblemError",
    "KeptForecast",
    "KeptScore",
    "MissingPackageError",
    "NotFoundProblemError",
    "PayloadReceipt",
    "ProblemError",
    "SeriesForecast",
    "SeriesInfo",
    "Tidemill",
    "UnavailableError",
    "UnavailableProblemError",
]
