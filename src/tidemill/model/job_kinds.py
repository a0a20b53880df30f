"""The kinds of jobs, in one place: what a new kind is added to.

A kind needs a subclass of `Job` in this list; if its role is `worker`, what does the work, in `jobs/work.py`; and how
the API takes and shows it, in `api/job_views.py`. A test finds a kind that lacks one of them.
"""

from typing import Final, Literal, get_args

from tidemill.model.job import AnyJob
from tidemill.model.replay import Replay
from tidemill.model.verification import Verification

Kind = Literal["replay", "verify"]
JOBS: Final[dict[str, type[AnyJob]]] = {"replay": Replay, "verify": Verification}
KINDS: Final[tuple[str, ...]] = get_args(Kind)
