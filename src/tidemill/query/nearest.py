"""Refuses a question about more windows than an answer can have, with the nearest questions that can be answered."""

from typing import Final

from tidemill.errors import NearestQuestion, TooBigQuestionError
from tidemill.model.time import MAX_NS, MIN_NS, format_instant
from tidemill.query.ladder import FEWEST, LADDER, window_length_for
from tidemill.query.readers import WindowLength

MAX_WINDOWS: Final = 100_000  # windows of a series that one request fills, before they are cut into pages
MAX_CELLS: Final = 1_000_000  # series times windows of one answer
MAX_SPAN: Final = 100_000_000  # windows of a range, with or without points: three years of seconds
_SCREEN: Final = 1_000  # windows of a question that a screen shows


def too_many_windows(
    limit: str, allowed: int, what: str, *, every: WindowLength, start_ns: int, end_ns: int, most: int
) -> TooBigQuestionError:
    """The refusal of windows of length `every` over [start, end) ns, of which at most `most` can be answered.

    `limit` and `allowed` name the limit and `what` says what exceeds it. The questions, as changed parameters: the
    same range in longer windows of the ladder, the newest part of it in the same windows, and the range in as many
    windows as a screen shows.
    """
    most = min(most, allowed)
    length_ns = max(end_ns - start_ns, 1)
    fitting = next((item for item in LADDER if length_ns // item.nominal_ns + 3 <= most), LADDER[-1])
    newest = max(MIN_NS, start_ns, end_ns - max(most - 3, 1) * every.nominal_ns)
    part = {"start": format_instant(newest), "end": format_instant(min(end_ns, MAX_NS))}
    shown = str(max(FEWEST, min(_SCREEN, most)))
    questions = (
        NearestQuestion(f"the same range in windows of {fitting.text}", {"every": fitting.text, "points": None}),
        NearestQuestion(f"windows of {every.text} from {part['start']} to {part['end']}", part),
        NearestQuestion(
            f"the same range in at most {shown} windows",
            {"points": shown, "every": None},
            window_length_for(int(shown), start_ns, end_ns).text,
        ),
    )
    listed = "; ".join(question.says for question in questions)
    return TooBigQuestionError(
        limit, allowed, f"{what}; ask for a shorter range or longer windows: {listed}", questions
    )
