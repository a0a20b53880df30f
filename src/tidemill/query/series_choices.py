"""The series that questions choose, kept for as long as nothing is written of the series that could be chosen."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidemill.query.chosen_series import choose_series
from tidemill.query.kept import Kept
from tidemill.query.series import Hidden, SeriesFilter
from tidemill.query.series_rows import Description, SeriesRows
from tidemill.store.client import Store
from tidemill.store.generations import SERIES, Generation

_MOST_BYTES: Final = 8 << 20
_MOST_CHOICE_BYTES: Final = 2 << 20
_SERIES_BYTES: Final = 1_000
_FEW: Final = 8  # ids that are looked up one by one, where what is written of other series does not matter
Choice = tuple[list[Description], Generation | None]


class SeriesChoices:
    """Chooses series as `choose_series` does, which is asked for what is not kept. Thread-safe. A choice comes with the
    generation of series since which it is right."""

    def __init__(self, store: Store, hidden: Hidden, rows: SeriesRows) -> None:
        self._store, self._hidden, self._rows = store, hidden, rows
        self._kept: Kept[list[Description]] = Kept(store.generations, _MOST_BYTES, _MOST_CHOICE_BYTES)

    def choose(self, tenant: str, chosen: SeriesFilter, ids: Sequence[int]) -> Choice:
        """The series that match all filters. Raises what `choose_series` does."""
        hidden = sorted(self._hidden(tenant))
        filters = [chosen.feed, chosen.field, chosen.name, sorted(chosen.tags.items())]
        if 0 < len(ids) <= _FEW and not any(filters):
            few = self._choose_few(tenant, ids, hidden)
            if few is not None:
                return few
        generation = self._store.generations.of_all(SERIES)
        key = msgspec.msgpack.encode([tenant, hidden, list(ids), filters])
        kept = self._kept.get(key)
        if kept is None:
            kept = choose_series(self._store, tenant, chosen, ids, lambda _: hidden)
            size = sum(_SERIES_BYTES + 4 * (len(item.description) + len(str(item.tags))) for item in kept)
            self._kept.put(key, generation, kept, size)
        return kept, generation

    def _choose_few(self, tenant: str, ids: Sequence[int], hidden: Sequence[int]) -> Choice | None:
        """The series of these ids; null where there is one that cannot be chosen."""
        generation = self._store.generations.of_series(SERIES, ids)
        rows = [None if number in hidden else self._rows.row(tenant, number) for number in ids]
        known = [{**row, "series": number} for row, number in zip(rows, ids, strict=True) if row is not None]
        return (msgspec.convert(known, list[Description]), generation) if len(known) == len(ids) else None
