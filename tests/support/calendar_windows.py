"""Computes where windows begin on the wall clock of a zone with the standard library, to compare with the store."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.query.conftest import Writer
from tests.query.support import asked, document, queries
from tidemill.model.time import format_instant
from tidemill.model.zones import zone
from tidemill.query.points_query import PointsQuery
from tidemill.store.client import Store

STEPS = ("10m", "15m", "20m", "30m", "1h", "90m", "2h", "4h", "12h", "1d", "1w", "1mo")
EPOCH = datetime(1970, 1, 1)
MINUTE = timedelta(minutes=1)


def step_minutes(step: str) -> int:
    """The usual length of a window."""
    number = int(step.rstrip("mohdw"))
    unit = {"m": 1, "h": 60, "d": 1440, "w": 10_080, "mo": 43_200}[step.lstrip("0123456789")]
    return number * unit


def rounded(wall: datetime, step: str) -> datetime:
    """A wall clock rounded down to a step."""
    midnight = wall.replace(hour=0, minute=0, second=0)
    if step == "1mo":
        return midnight.replace(day=1)
    if step == "1w":
        return midnight - timedelta(days=wall.weekday())
    return EPOCH + (wall - EPOCH) // (step_minutes(step) * MINUTE) * (step_minutes(step) * MINUTE)


def window_start(at: datetime, where: ZoneInfo, step: str) -> datetime:
    """The start of the window that an instant (aware, UTC) is in."""
    label = rounded(at.astimezone(where).replace(tzinfo=None, fold=0), step)
    first, second = (label.replace(tzinfo=where, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(where).replace(tzinfo=None) != label:  # a local time that a clock change skipped
        return _change(min(first, second) - timedelta(days=1), max(first, second), where)
    if first < second <= at and step_minutes(step) * MINUTE <= second - first:
        return second
    return first


def _change(low: datetime, high: datetime, where: ZoneInfo) -> datetime:
    """The one change of offset between two instants, to the second."""
    before = low.astimezone(where).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(where).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def offset_changes(where: ZoneInfo, years: Iterable[int]) -> Iterator[datetime]:
    """Days on which the offset of a zone changes."""
    for year in years:
        days = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(367)]
        offsets = [day.astimezone(where).utcoffset() for day in days]
        yield from (day for day, a, b in zip(days, offsets, offsets[1:], strict=False) if a != b)


def moments(where: ZoneInfo, years: range) -> list[datetime]:
    """Every ten minutes, and a second before each hour, around every change, and some of any day."""
    some = [*offset_changes(where, years), datetime(years[0], 7, 10, tzinfo=UTC)]
    walk = [day + n * 10 * MINUTE for day in some for n in range(-60, 180)]
    return sorted({*walk, *(moment - timedelta(seconds=1) for moment in walk[::6])})


def compare_windows(store: Store, writer: Writer, name: str, years: range, steps: Iterable[str]) -> int:
    """Compare the windows of a zone in the store with those of the standard library; returns the number of windows."""
    where = zone(name)
    assert where is not None
    at = moments(where, years)
    key = writer.series("walls", "v", {"zone": name})
    writer.points(
        key,
        [(moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 10**9 for moment in at],
        [1.0] * len(at),
    )
    compared = 0
    for step in steps:
        expected = Counter(window_start(moment, where, step) for moment in at)
        page = queries(store).points.read_points(
            "default", key, asked(PointsQuery, every=step, tz=name, agg="count", limit="1000000", format="json")
        )
        counts = {
            datetime.fromisoformat(item["time"]).astimezone(UTC): item["count"] for item in document(page)["items"]
        }
        wrong = {
            format_instant(int(moment.timestamp()) * 10**9): (counts.get(moment), expected.get(moment))
            for moment in sorted(counts.keys() | expected.keys())
            if counts.get(moment) != expected.get(moment)
        }
        assert not wrong, f"{name} {step}: {dict(list(wrong.items())[:5])} (found, expected)"
        compared += len(counts)
    return compared
