"""How the poller behaves where a feed says nothing."""

import msgspec

from tidemill.sources.backoff import Backoff


class Pacing(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. A fetch may take `deadline_factor` times the feed's time-out in all. At the end a fetch gets
    `fetch_grace_s` to complete, then what it brought `submit_grace_s` to be taken, and the last rows of the poll ledger
    `record_grace_s` to be written. `in_flight` payloads of a source may be under way at once. Definitions that could
    not be used are looked at again after `look_again_s`: a secret may be there by then."""

    first_backoff_s: float = 1.0
    submit_backoff: Backoff = Backoff(first_s=0.1, cap_s=5.0)
    submit_timeout_s: float = 30.0
    deadline_factor: float = 3.0
    fetch_grace_s: float = 2.0
    submit_grace_s: float = 3.0
    record_grace_s: float = 1.0
    write_every_s: float = 1.0
    look_again_s: float = 30.0
    in_flight: int = 32
