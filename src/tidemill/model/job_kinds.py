"""The list of all kinds of jobs; a new kind is added here.

A kind needs a subclass of `Job` in this list; if its role is `worker`, the work itself in `jobs/work.py`; and its
requests and answers in `api/job_views.py`. A test fails for a kind that lacks one of them.
"""

from typing import Final, Literal, get_args

from tidemill.model.forecast import Fit
from tidemill.model.job import AnyJob
from tidemill.model.replay import Replay
from tidemill.model.verification import Verification

Kind = Literal["replay", "verify", "forecast"]
JOBS: Final[dict[str, type[AnyJob]]] = {"replay": Replay, "verify": Verification, "forecast": Fit}
KINDS: Final[tuple[str, ...]] = get_args(Kind)
