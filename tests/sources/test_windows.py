"""Windows cover all time from the start to now, in order, whatever their size, lag and overlap."""

from hypothesis import given
from hypothesis import strategies as st

from tidemill.feeds.definition import Feed
from tidemill.feeds.source import Source, SourceWindow
from tidemill.model.time import NS_PER_S, parse_instant
from tidemill.sources.bounds import Bounds
from tidemill.sources.poll_windows import PollWindow, PollWindows
from tidemill.sources.source_spec import compile_specs

DAY = 86_400 * NS_PER_S
durations = st.integers(1, 40 * DAY)


@given(start=st.integers(0, 60_000 * DAY), size=durations, lag=durations, overlap=durations, ahead=st.integers(0, 300))
def test_windows_leave_no_gap_and_end(start, size, lag, overlap, ahead):
    windows = PollWindows(start_ns=start, size_ns=size, lag_ns=lag, overlap_ns=overlap)
    now = start + lag + size * ahead // 10
    cursor, count = None, 0
    while (window := windows.next_window(cursor, now)) is not None and not window.last:
        assert start <= window.start_ns <= (start if cursor is None else cursor) < window.stop_ns
        assert window.stop_ns <= now - lag
        cursor, count = window.stop_ns, count + 1
    assert count <= ahead // 10 + 1
    if window is None:
        assert (cursor is None and now - lag <= start) or overlap == 0
    else:
        assert window.stop_ns == now - lag


@given(jump=st.integers(1, 400), away=st.floats(0, 0.99), overlap=st.sampled_from([0, DAY]))
def test_a_clock_that_jumped_ahead_and_came_back_leaves_no_gap(jump, away, overlap):
    windows = PollWindows(start_ns=0, size_ns=DAY, overlap_ns=overlap)
    true_now = 10 * DAY
    cursor = true_now + jump * DAY  # all of it was read; of what is ahead there was nothing
    true_now += int(away * DAY)
    window = windows.next_window(cursor, true_now)
    assert window.start_ns <= 10 * DAY and window.stop_ns == true_now and window.last
    following = windows.next_window(window.stop_ns, true_now + 1)
    assert following.start_ns <= true_now and following.stop_ns == true_now + 1


@given(start=st.integers(0, 1000 * DAY), length=st.integers(1, 400 * DAY), dates=st.booleans())
def test_halves_are_the_window_down_to_a_second_or_a_date(start, length, dates):
    windows = PollWindows(start_ns=0, size_ns=DAY, bounds=Bounds("date" if dates else "rfc3339"))
    window = PollWindow(start, start + length, True)
    pair = windows.halves(window)
    if pair is None:
        assert length <= (2 * DAY if dates else 2 * NS_PER_S)
    else:
        first, second = pair
        assert window.start_ns == first.start_ns < first.stop_ns == second.start_ns < second.stop_ns == window.stop_ns
        assert second.last and not first.last
        assert not dates or first.stop_ns % DAY == 0


def test_bounds_as_dates_leave_no_instant_out():
    windows = PollWindows(start_ns=0, size_ns=DAY, bounds=Bounds("date"))
    start, stop = parse_instant("2023-02-01T10:00:00Z"), parse_instant("2023-02-02T00:00:00.5Z")
    url = "http://x/?start=%7Bstart%7D&stop={stop}"
    assert windows.fill_url(url, PollWindow(start, stop, False)) == "http://x/?start=2023-02-01&stop=2023-02-03"
    midnight = parse_instant("2023-02-02T00:00:00Z")
    assert windows.fill_url(url, PollWindow(start, midnight, False)).endswith("stop=2023-02-02")


def test_each_value_is_a_source_of_its_own():
    window = SourceWindow(start="2023-02-01T00:00:00Z", lag="0s", overlap="1d")
    source = Source(
        url="http://x/data?fixed=1", params={"start": "{start}"}, each={"muid": "a, b", "kind": "e/1"}, window=window
    )
    one, two = compile_specs("default", Feed(name="meters", source=source))
    assert (one.item, two.item) == ("muid=a,kind=e/1", "muid=b,kind=e/1")
    assert one.key == "sources/default/meters/muid=a,kind=e%2F1"
    assert one.url == "http://x/data?fixed=1&start=%7Bstart%7D&muid=a&kind=e%2F1"
    assert one.windows is not None and one.windows.lag_ns == 0
    assert compile_specs("default", Feed(name="meters", title="other", source=source)) == [one, two]
