"""The calls that warm the worker processes: a forecast in the first, a spectrum and the trial of a feed in the second.

Their imports and first computations take some tenths of a second, which the first request would wait for.
"""

from typing import Any, Final

import msgspec
import numpy as np

from tidemill.api.feed_trial_task import TrialTask
from tidemill.decode.decoder import MAX_DEPTH
from tidemill.feeds.recipes import RECIPES
from tidemill.query.analysis_tasks import TaskSubject

_HOURS: Final = 400
_SUBJECT: Final = TaskSubject({"unit": None}, "value", None)


def _call(task: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    hours = np.arange(_HOURS, dtype=np.int64)
    values = np.sin(hours * 2 * np.pi / 24) + hours % 7 / 10
    arguments = {"subject": _SUBJECT, "times_ns": hours * 3_600_000_000_000, "values": values, "options": options}
    return f"tidemill.query.analysis_tasks:{task}", arguments


def _trial() -> tuple[str, dict[str, Any]]:
    task = TrialTask(
        tenant="default",
        text=RECIPES["telemetry"],
        name=None,
        before=None,
        bound_variables="",
        closed=True,
        sample=b'{"time": 1767225600, "value": 1.5, "tags": []}',
        form="json",
        content_type=None,
        received_ns=1_767_225_600_000_000_000,
        first=0,
        limit=1,
        max_depth=MAX_DEPTH,
    )
    return "tidemill.api.feed_trial_task:try_feed", {"task": msgspec.msgpack.encode(task)}


WARM_UP: Final = (
    _call("forecast", {"horizon": 24, "levels": [80.0], "model": "auto", "minimum": None}),
    _call("spectrum", {"window": "hann", "segment": 256, "bands": (), "peaks": 5}),
    _trial(),
)
