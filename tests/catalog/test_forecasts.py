"""Stored forecasts in the catalog: each of one tenant, the newest first, and no more than may be kept."""

import msgspec
import pytest

from tests.model.test_forecast import FORECAST
from tidemill.catalog.contract import Catalog
from tidemill.catalog.forecasts import CatalogForecasts
from tidemill.errors import LimitError, NotFoundError
from tidemill.model.forecast import StoredForecast


def forecast(id: str, tenant: str = "a") -> StoredForecast:
    return msgspec.structs.replace(FORECAST, id=id, tenant=tenant)


def test_a_forecast_is_of_one_tenant_and_the_newest_is_first(catalog: Catalog) -> None:
    forecasts = CatalogForecasts(catalog)
    for each in (forecast("1"), forecast("2"), forecast("3", "b")):
        forecasts.put(each)
    assert [each.id for each in forecasts.list("a")] == ["2", "1"]
    assert forecasts.get("a", "2") == forecast("2")
    assert forecasts.get("b", "3").body == b"{}"
    for tenant, id in (("b", "1"), ("a", "3"), ("a", "b/3"), ("a", "../b/3"), ("", "a/1")):
        with pytest.raises(NotFoundError):
            forecasts.get(tenant, id)
    assert not forecasts.remove("b", "1")
    assert forecasts.remove("a", "1") and not forecasts.remove("a", "1")
    assert [each.id for each in forecasts.list("a")] == ["2"]


def test_one_more_than_may_be_kept_is_refused_and_one_that_is_there_is_replaced(catalog: Catalog) -> None:
    forecasts = CatalogForecasts(catalog, most=2)
    forecasts.put(forecast("1"))
    forecasts.put(forecast("2"))
    with pytest.raises(LimitError, match="delete some"):
        forecasts.put(forecast("3"))
    forecasts.put(msgspec.structs.replace(forecast("2"), feed_version=9))
    assert forecasts.get("a", "2").feed_version == 9
    forecasts.put(forecast("3", "b"))
