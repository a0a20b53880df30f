"""The answers about forecasts, scores and descriptions as the client gives them. Members that a newer server adds are
left out."""

from typing import TYPE_CHECKING, Any

import msgspec

from tidemill.client.frames import columns_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl


class LevelBounds(msgspec.Struct, frozen=True):
    """The lower and the upper bound of each value."""

    lower: list[float]
    upper: list[float]


class NaiveForecast(msgspec.Struct, frozen=True):
    """The naive forecast that did best in the back-test. `mase_scale`: what MASE divides an error by (null: 0)."""

    model: str
    values: list[float]
    mase_scale: float | None = None


class SeriesForecast(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast of a series: `values` at `times` (RFC 3339, in the zone that was requested), with `levels` by their
    percent. `backtest` says how it did on values that it had not seen (null: it was not tested), `chosen` which models
    make it, `as_of` the state of the points that it was made of."""

    id: str
    unit: str | None
    interval: str
    horizon: int
    model: str
    chosen: list[dict[str, Any]]
    times: list[str]
    values: list[float]
    levels: dict[str, LevelBounds]
    periods: list[dict[str, Any]]
    backtest: dict[str, Any] | None
    baseline: NaiveForecast
    used: dict[str, Any]
    notes: list[str]
    as_of: dict[str, Any]
    every: str | None = None
    agg: str | None = None
    start: str | None = None
    end: str | None = None

    def frame(self) -> "pl.DataFrame":
        """The forecast as a Polars frame: `time` (ns, UTC), `value`, and `lower_80`, `upper_80` for each level. Raises
        MissingPackageError."""
        columns = {"value": self.values}
        for level, bounds in self.levels.items():
            columns |= {f"lower_{level}": bounds.lower, f"upper_{level}": bounds.upper}
        return columns_frame(self.times, columns)


class KeptForecast(msgspec.Struct, frozen=True, kw_only=True):
    """A stored forecast: what was requested, and what it was made from. `forecast` is null in a list."""

    id: str
    created_at: str
    series: str
    feed: str
    name: str
    field: str
    tags: dict[str, str]
    unit: str | None
    request: dict[str, Any]
    made_from: dict[str, Any]
    model: str
    first: str
    last: str
    forecast: SeriesForecast | None = None


class KeptForecastPage(msgspec.Struct, frozen=True):
    """A page of stored forecasts; `next` is the cursor of the following page."""

    items: list[KeptForecast]
    next: str | None = None


class ScoreFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How a forecast did on `count` values. `bias` above 0: it was too high. `ratio_to_baseline` below 1: better than
    the naive forecast. `coverage`: the share of values within the bounds of each level."""

    count: int
    mae: float
    rmse: float
    bias: float
    mase: float | None
    ratio_to_baseline: float | None
    coverage: dict[str, float]


class KeptScore(msgspec.Struct, frozen=True, kw_only=True):
    """The score of a stored forecast by the values as they are `now`, and as they were known `first`. Of its `horizon`
    values `arrived` have come, `restated` of them were replaced since, `missing` have not come although later ones
    have, and `pending` are still to come."""

    id: str
    series: str
    unit: str | None
    horizon: int
    arrived: int
    missing: int
    pending: int
    restated: int
    history_changed: int
    baseline: str
    now: ScoreFigures | None
    first: ScoreFigures | None
    times: list[str]
    values: list[float]
    truth: list[float | None]
    first_truth: list[float | None]

    def frame(self) -> "pl.DataFrame":
        """The columns as a Polars frame: `time` (ns, UTC), `value`, `truth`, `first_truth` (null: has not arrived).
        Raises MissingPackageError."""
        columns: dict[str, Sequence[float | None]] = {"value": self.values}
        columns |= {"truth": self.truth, "first_truth": self.first_truth}
        return columns_frame(self.times, columns)


class DescribedSeries(msgspec.Struct, frozen=True, kw_only=True):
    """What a series is: its `kind`, `sentences` that say so, and the `figures` behind them."""

    id: str
    unit: str | None
    kind: str
    sentences: list[str]
    figures: dict[str, Any]
    tz: str | None = None


class QueuedFit(msgspec.Struct, frozen=True):
    """A job that makes and stores a forecast."""

    id: str
    state: str
    error: str | None = None
