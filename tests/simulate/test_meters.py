"""The meter server answers any window in the contract's shape, with the same values each time."""

import httpx
import pytest

from tidemill.model.time import parse_instant
from tidemill.simulate.meters import EXPORT, HOUSEHOLD_MUID, IMPORT, SOLAR_MUID, MeterServer, MetersOptions, parse_bound
from tidemill.simulate.server import running


@pytest.fixture(scope="module")
def get():
    with running(MeterServer(MetersOptions(end="2023-07-01T00:00:00Z"))) as url, httpx.Client() as client:
        yield lambda **params: client.get(f"{url}/meterdata/measurement", params={"measurement": "energy", **params})


def data(get, **params):
    response = get(**params)
    assert response.status_code == 200
    return response.json()["data"]


def test_a_month_has_the_contract_shape(get):
    records = data(get, muid=HOUSEHOLD_MUID, limit=5000, start="2023-02-01", stop="2023-03-01")
    assert len(records) == 28 * 96
    first = records[0]
    assert first["timestamp"] == "2023-02-01T00:00:00.000Z"
    assert first["measurement"] == "energy"
    assert first["tags"]["muid"] == HOUSEHOLD_MUID
    assert set(first) == {"measurement", "timestamp", "tags", IMPORT}
    assert records == data(get, muid=HOUSEHOLD_MUID), "without a window: the same month"


def test_windows_overlap_with_the_same_values(get):
    whole = data(get, muid=SOLAR_MUID, start="2023-06-01", stop="2023-06-03")
    part = data(get, muid=SOLAR_MUID, start="2023-06-01T11:50:00Z", stop="2023-06-01T15:00:00+01:00")
    assert part == [r for r in whole if "2023-06-01T12" <= r["timestamp"] < "2023-06-01T14"]
    assert len(part) == 8


def test_limit_end_and_unknown_muid(get):
    assert len(data(get, muid=SOLAR_MUID, limit=3)) == 3
    assert data(get, muid=SOLAR_MUID, start="2023-06-30", stop="2024-01-01")[-1]["timestamp"] == (
        "2023-06-30T23:45:00.000Z"
    )
    assert data(get, muid="no-such-meter") == []
    assert data(get, muid=SOLAR_MUID, measurement="water") == []
    assert get(muid=SOLAR_MUID, start="soon").status_code == 400


def test_solar_exports_by_day_only_and_more_in_summer(get):
    def export(start, stop):
        return {r["timestamp"]: r[EXPORT] for r in data(get, muid=SOLAR_MUID, start=start, stop=stop, limit=9999)}

    winter, summer = export("2023-01-01", "2023-02-01"), export("2023-06-01", "2023-07-01")
    assert sum(summer.values()) > 2 * sum(winter.values()) > 0
    assert all(value == 0 for moment, value in winter.items() if not "06" <= moment[11:13] < "17")


def test_household_peaks_in_the_evening_above_a_base_load(get):
    by_hour: dict[int, list[float]] = {}
    for record in data(get, muid=HOUSEHOLD_MUID):
        by_hour.setdefault((parse_instant(record["timestamp"]) // 3_600_000_000_000 + 1) % 24, []).append(
            record[IMPORT]
        )
    means = {hour: sum(values) / len(values) for hour, values in by_hour.items()}
    assert max(means, key=means.__getitem__) in {18, 19, 20}
    assert min(min(values) for values in by_hour.values()) >= 0.0225
    assert means[19] > 5 * means[3]


def test_bounds_are_dates_or_instants():
    assert parse_bound("2023-02-01") == parse_bound("2023-02-01T01:00:00+01:00")
