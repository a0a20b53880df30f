"""Windows of every zone there is, over ten years, compared with those of the standard library."""

from datetime import UTC, datetime, timedelta
from importlib import resources

from tests.query.conftest import Writer
from tests.support.calendar_windows import STEPS, compare_windows
from tests.support.rounds import rounds
from tidemill.model.zones import zone
from tidemill.store.client import Store


def names(years: range) -> list[str]:
    """Every zone of the time zone data, those whose clocks are the same in these years once."""
    known: dict[tuple[object, ...], str] = {}
    days = [datetime(years[0], 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(len(years) * 366)]
    for name in resources.files("tzdata").joinpath("zones").read_text().split():
        where = zone(name)
        if where is not None:
            known.setdefault(tuple(day.astimezone(where).utcoffset() for day in days), name)
    return sorted(known.values())


def test_windows_begin_where_the_standard_library_says(store: Store, writer: Writer) -> None:
    years = range(2018, rounds(2019, 2028))
    every = names(years)
    assert len(every) > 60
    for number, name in enumerate(every[:: rounds(30, 1)]):
        # Steps in turn: each zone is asked about three kinds of windows, the odd ones about all.
        odd = name in ("Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Chatham", "Africa/Casablanca")
        assert compare_windows(store, writer, name, years, STEPS if odd else STEPS[number % 4 :: 4])
