"""Every check by its name: ours, then those of other packages."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tidemill import plugins
from tidemill.checks.check import Check
from tidemill.checks.labels import LabelAbsent, LabelPresent
from tidemill.checks.times import MaxAge, MaxFuture
from tidemill.checks.values import OneOf, Range

OURS: Final[tuple[type[Check], ...]] = (MaxAge, MaxFuture, LabelAbsent, LabelPresent, Range, OneOf)


@cache
def checks() -> Mapping[str, type[Check]]:
    """Check by name. One of another package cannot take a name that is ours, and is called as its entry point is."""
    others = {
        name: check
        for name, check in plugins.load(plugins.RULES).items()
        if isinstance(check, type) and issubclass(check, Check)
    }
    return MappingProxyType(others | {check.name: check for check in OURS})


def compile_check(name: str, options: Mapping[str, Any]) -> Check:
    """A check with its options. Raises KeyError for an unknown check, msgspec.ValidationError for options that do not
    fit; neither can happen for a rule of a feed that was loaded."""
    return msgspec.convert(options, checks()[name], strict=True)
