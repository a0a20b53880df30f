"""Every check by its name: the built-in checks and those of other packages."""

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
from tidemill.checks.sentinels import NotAValue
from tidemill.checks.texts import Length, Pattern, Type
from tidemill.checks.times import MaxAge, MaxFuture
from tidemill.checks.values import Finite, OneOf, Range, Required

BUILT_IN: Final[tuple[type[Check], ...]] = (
    *(Required, Finite, Type, Range, NotAValue, OneOf, Pattern, Length, Expression),
    *(LabelAbsent, LabelPresent, MaxAge, MaxFuture),
    *PAST_CHECKS,
)
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)

log = logging.getLogger(__name__)


@cache
def checks_by_name() -> Mapping[str, type[Check]]:
    """Checks by name. A check of another package has the name of its entry point and cannot take the name of a built-in
    check; one that cannot be used (`unusable_checks`) is left out."""
    others = {
        name: check for name, check in plugins.load_plugins(plugins.RULES).items() if name not in unusable_checks()
    }
    return MappingProxyType(others | {check.name: check for check in BUILT_IN})


@cache
def unusable_checks() -> Mapping[str, str]:
    """The entry points of other packages that are no valid checks: fault by name. Logs each once."""
    offered = plugins.load_plugins(plugins.RULES).items()
    faults = {name: fault for name, check in offered if (fault := _plugin_fault(name, check))}
    for name, fault in faults.items():
        log.error("the plug-in %s (%s) cannot be used: %s", name, plugins.RULES, fault)
    return MappingProxyType(faults)


def compile_check(name: str, options: Mapping[str, Any]) -> Check:
    """A check with its options. Raises KeyError for an unknown check, msgspec.ValidationError for options that do not
    fit; neither can happen for a rule of a feed that was loaded."""
    return msgspec.convert(options, checks_by_name()[name], strict=True)


def _plugin_fault(name: str, check: Any) -> str:
    """Why `check` cannot be used as a check of this name; "" if it can."""
    if not (isinstance(check, type) and issubclass(check, Check)):
        return "it is no class derived from tidemill.checks.check.Check"
    if _CODE.fullmatch(name) is None:
        return "its name must be a-z, 0-9 and _, starting with a letter"
    reason = getattr(check, "reason", None)
    if not isinstance(reason, str) or _CODE.fullmatch(reason) is None:
        return "it needs a reason: a class attribute of a-z, 0-9 and _, starting with a letter"
    return ""
