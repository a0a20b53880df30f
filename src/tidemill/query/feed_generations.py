"""The generation of what the store has of a feed: of its series, which are kept for as long as no series is written."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tidemill.query.chosen_series import MAX_SERIES
from tidemill.query.kept import Kept
from tidemill.store.client import Store
from tidemill.store.generations import POINTS, SERIES, Generation

_MOST_BYTES: Final = 4 << 20
_MOST_LIST_BYTES: Final = 64 << 10
_BYTES_A_SERIES: Final = 40


class FeedGenerations:
    """Gives the generation of the series of feeds. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: Kept[list[int]] = Kept(store.generations, _MOST_BYTES, _MOST_LIST_BYTES)

    def generation(self, filters: Mapping[str, Any], field: str = "") -> Generation | None:
        """The generation of the points, rollup windows and descriptions of the series of a feed (`filters` as
        `feed_filters` has them), or of one field; of all series where they are many; null while a write is under way.
        """
        generations = self._store.generations
        of_series = generations.of_all(SERIES)
        if of_series is None:
            return None
        key = msgspec.msgpack.encode([filters, field])
        series = self._kept.get(key)
        if series is None:
            series = [row["series"] for row in self._store.rows("feed_series", **filters, field=field)]
            self._kept.put(key, of_series, series, _BYTES_A_SERIES * len(series))
        many = len(series) > MAX_SERIES
        of_points = generations.of_all(POINTS) if many else generations.of_series(POINTS, series)
        return None if of_points is None else of_points.joined(of_series)
