"""Every check by its name: ours, then those of other packages."""

import logging
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tidemill import plugins
from tidemill.checks.check import Check
from tidemill.checks.expression.check import Expression
from tidemill.checks.history import PAST_CHECKS
from tidemill.checks.labels import LabelAbsent, LabelPresent
from tidemill.checks.texts import Length, Pattern, Type
from tidemill.checks.times import MaxAge, MaxFuture
from tidemill.checks.values import Finite, OneOf, Range, Required

OURS: Final[tuple[type[Check], ...]] = (
    *(Required, Finite, Type, Range, OneOf, Pattern, Length, Expression),
    *(LabelAbsent, LabelPresent, MaxAge, MaxFuture),
    *PAST_CHECKS,
)
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)

log = logging.getLogger(__name__)


@cache
def checks() -> Mapping[str, type[Check]]:
    """Check by name. One of another package cannot take a name that is ours, and is called as its entry point is; one
    that cannot be used (`unusable`) is passed over."""
    others = {name: check for name, check in plugins.load_plugins(plugins.RULES).items() if name not in unusable()}
    return MappingProxyType(others | {check.name: check for check in OURS})


@cache
def unusable() -> Mapping[str, str]:
    """What other packages offer as a check and is none: its name, and what is wrong with it."""
    found = {
        name: wrong for name, check in plugins.load_plugins(plugins.RULES).items() if (wrong := _wrong(name, check))
    }
    for name, wrong in found.items():
        log.error("the plug-in %s (%s) cannot be used: %s", name, plugins.RULES, wrong)
    return MappingProxyType(found)


def compile_check(name: str, options: Mapping[str, Any]) -> Check:
    """A check with its options. Raises KeyError for an unknown check, msgspec.ValidationError for options that do not
    fit; neither can happen for a rule of a feed that was loaded."""
    return msgspec.convert(options, checks()[name], strict=True)


def _wrong(name: str, check: Any) -> str:
    """What keeps something from being a check called `name`; "" if nothing does."""
    if not (isinstance(check, type) and issubclass(check, Check)):
        return "it is no class derived from tidemill.checks.check.Check"
    if _CODE.fullmatch(name) is None:
        return "its name must be a-z, 0-9 and _, starting with a letter"
    reason = getattr(check, "reason", None)
    if not isinstance(reason, str) or _CODE.fullmatch(reason) is None:
        return "it needs a reason: a class attribute of a-z, 0-9 and _, starting with a letter"
    return ""
