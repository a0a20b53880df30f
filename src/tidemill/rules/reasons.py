"""Every reason a record can be rejected or marked for, and what it means. Documentation and the API's list are made
from this."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tidemill.checks.describe import check_meaning
from tidemill.checks.library import BUILT_IN
from tidemill.decode.codes import FAULT_CODES, MARK_CODES

INTAKE_REASONS: Final = {
    "invalid_encoding": "The body is not of whole streams of the Content-Encoding it names; it is kept as it came.",
    "unknown_charset": "The content type names another charset than UTF-8; the body is kept as it came.",
}
TIME_REASONS: Final = {
    "dst_gap": "The local time never was: clocks were put forward over it.",
    "dst_fold": "The local time was twice, and the feed takes neither.",
    "fold_unclear": "The local time was twice; neither the records' order nor the points around it tell which it is.",
    "zone_missing": "The time is local and the record says nothing of where.",
    "zone_unknown": "The record names a time zone that does not exist.",
}
STATE_REASONS: Final = {
    "duplicate": "Another record of the same series and time was submitted first.",
    "payload_refused": "Another record of the payload was at fault, so the whole payload was refused.",
    "window_sealed": "The rollup window of the record's time is final: its points are past retention.",
    "poison": "The payload ended the process that applied it, twice, and was set aside.",
    "damaged": "The payload's bytes were damaged on disk before it was applied; it was set aside as `poison`.",
}
# A check that repeats what the contract can ask for (`required`, `finite`, `type`) gives the contract's code.
RULE_REASONS: Final = {check.reason: check_meaning(check) for check in BUILT_IN if check.reason not in FAULT_CODES}

# A feed may give a rule another code of its own; these are the ones that the software itself knows.
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {**dict(FAULT_CODES), **MARK_CODES, **INTAKE_REASONS, **TIME_REASONS, **RULE_REASONS, **STATE_REASONS}
)
