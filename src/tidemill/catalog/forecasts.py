"""Stored forecasts in any Catalog, one key each: `forecasts/<tenant>/<id>`. Ids are UUIDv7, so they sort by time."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tidemill.catalog.contract import Catalog, CatalogEntry
from tidemill.errors import LimitError, NotFoundError
from tidemill.model.forecast import StoredForecast

MAX_FORECASTS: Final = 1_000  # of a tenant: listing forecasts reads them all
_PREFIX: Final = "forecasts/"


class CatalogForecasts:
    """The stored forecasts of all tenants, at most `most` of each. Every method raises what the catalog raises."""

    def __init__(self, catalog: Catalog, most: int = MAX_FORECASTS) -> None:
        self._catalog, self._most = catalog, most

    def put(self, forecast: StoredForecast) -> None:
        """Store a forecast, durable on return; one of the same id is replaced. Raises LimitError above `most` of its
        tenant."""
        others = [entry for entry in self._entries(forecast.tenant) if entry.key != _key(forecast.tenant, forecast.id)]
        if len(others) >= self._most:
            message = f"{len(others)} forecasts are stored, the most that are kept: delete some (DELETE /v1/forecasts)"
            raise LimitError("max_forecasts", self._most, message)
        self._catalog.put(_key(forecast.tenant, forecast.id), msgspec.json.encode(forecast))

    def get(self, tenant: str, forecast: str) -> StoredForecast:
        """One forecast. Raises NotFoundError."""
        entry = self._catalog.get(_key(tenant, forecast))
        if entry is None:
            raise NotFoundError(f"there is no forecast '{forecast[:64]}'")
        return _decode(entry)

    def list(self, tenant: str) -> Sequence[StoredForecast]:
        """All forecasts of a tenant, the newest first."""
        return sorted(map(_decode, self._entries(tenant)), key=lambda forecast: forecast.id, reverse=True)

    def remove(self, tenant: str, forecast: str) -> bool:
        """Remove a forecast; false if there is none."""
        return self._catalog.delete(_key(tenant, forecast))

    def _entries(self, tenant: str) -> Sequence[CatalogEntry]:
        return self._catalog.list(f"{_PREFIX}{tenant}/")


def _decode(entry: CatalogEntry) -> StoredForecast:
    return msgspec.json.decode(entry.value, type=StoredForecast)


def _key(tenant: str, forecast: str) -> str:
    return f"{_PREFIX}{tenant}/{forecast.replace('/', '%2F')}"
