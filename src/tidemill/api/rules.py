"""The routes `GET /v1/rules` and `/v1/codes`: every rule that can keep a record from becoming points, how a feed names
it, and the meaning of every code."""

from collections.abc import Iterator
from functools import cache
from typing import Final, Literal

import msgspec
from litestar import get
from litestar.params import FromPath

from tidemill.api.problem_codes import PROBLEMS
from tidemill.api.reads_common import problem_spec
from tidemill.checks.check import Check, HistoryCheck
from tidemill.checks.describe import Option, check_example, check_meaning, check_options
from tidemill.checks.faults import name_hint
from tidemill.checks.library import BUILT_IN, checks_by_name
from tidemill.decode.codes import FAULT_CODES, MARK_CODES
from tidemill.errors import NotFoundError
from tidemill.rules.reasons import INTAKE_REASONS, REASONS, STATE_REASONS, TIME_REASONS

Kind = Literal["value", "time", "text", "history", "plugin", "contract", "policy"]
Action = Literal["reject", "flag", "refuse"]

# The TOML by which a feed selects a policy; policies that no feed selects are not listed.
_MARK_EXAMPLE: Final = '[registers]\nexcept_keys = ["time", "meter"]\ntexts = "flag"\n'
_POLICY_EXAMPLES: Final = {
    "dst_gap": '[time]\ngap = "reject"\n',
    "dst_fold": '[time]\nfold = "reject"\n',
    "fold_unclear": '[time]\nfold = "by_order"\n',
    "zone_missing": '[time]\nzone_position = ["$.lat", "$.long"]\n',
    "zone_unknown": '[time]\nzone_path = "$.zone"\n',
    "window_sealed": '[retention]\npoints = "7d"\nseal_rollups = true\n',
    "payload_refused": '[input]\non_fault = "refuse"\n',
}
_DUPLICATES: Final = {
    "first": "Of records of one series and time the one submitted first stays; the others are rejected. With "
    '`duplicates_by = ["time", "local_time"]` also those of one local time in several zones.',
    "last": "Of records of one series and time the one submitted last stays; what it replaced is kept as lineage.",
    "keep": "Records of one series and time all stay.",
}


class RuleItem(msgspec.Struct, frozen=True, kw_only=True):
    """A rule. `kind`: what it checks (`value`, `text`, `time`, `history`, or what a `plugin` checks), or where it comes
    from (the feed's `contract`, a `policy`). `reason` is the code of its rejections, unless the feed names another;
    null where it rejects nothing. `actions` are those that a feed may choose. `example` is TOML; "" where a feed need
    not name the rule. `compares_with`: of a check of history, what "the value before" is."""

    name: str
    kind: Kind
    reason: str | None
    meaning: str
    options: tuple[Option, ...] = ()
    actions: tuple[Action, ...] = ("reject",)
    example: str = ""
    compares_with: str | None = None


class RulePage(msgspec.Struct, frozen=True):
    """Every rule: checks, then the faults of contracts, then policies."""

    items: list[RuleItem]


class Code(msgspec.Struct, frozen=True):
    """A stable code and what it means."""

    code: str
    meaning: str


class Codes(msgspec.Struct, frozen=True):
    """Codes of reasons (why a payload is refused, or a record rejected), and of problem documents."""

    reasons: list[Code]
    problems: list[Code]


@cache
def rules_by_name() -> dict[str, RuleItem]:
    """Every rule by its name."""
    return {item.name: item for item in (*_checks(), *_contract(), *_policies())}


@get("/v1/rules", tags=["admin"], summary="List the rules", operation_id="listRules", opt={"scope": "read"})
async def list_rules() -> RulePage:
    """Every check that a feed's rules may name, those of plug-ins included, with its options and an example; the faults
    that break the contract of any feed; and the policies of time, duplicates and retention."""
    return RulePage(list(rules_by_name().values()))


@get(
    "/v1/rules/{rule:str}",
    tags=["admin"],
    summary="One rule",
    operation_id="getRule",
    responses={404: problem_spec("No rule of that name.")},
    opt={"scope": "read"},
)
async def get_rule(rule: FromPath[str]) -> RuleItem:
    """A rule by its name: the name of a check, the code of a fault, or the name of a policy."""
    item = rules_by_name().get(rule)
    if item is None:
        raise NotFoundError(f"there is no rule '{rule[:100]}'{name_hint(rule[:100], rules_by_name())}")
    return item


@get("/v1/codes", tags=["admin"], summary="List every code", operation_id="listCodes", opt={"scope": None})
async def list_codes() -> Codes:
    """Every reason and every problem code, with its meaning. A feed may give a rule a code of its own."""
    return Codes(
        [Code(code, meaning) for code, meaning in REASONS.items()],
        [Code(code, f"{meaning.status} {meaning.title}. {meaning.help}") for code, meaning in PROBLEMS.items()],
    )


def check_item(name: str, check: type[Check]) -> RuleItem:
    """A check as the list shows it, under `name`, also where a plug-in's check has another name of its own."""
    of_history = issubclass(check, HistoryCheck)
    return RuleItem(
        name=name,
        kind=check.kind if check in BUILT_IN else "plugin",
        reason=check.reason,
        meaning=check_meaning(check),
        options=tuple(check_options(check)),
        actions=("reject", "flag") if of_history else ("reject", "flag", "refuse"),
        example=check_example(check, name) if check.example else "",
        compares_with=check.compares_with if issubclass(check, HistoryCheck) else None,
    )


def _checks() -> Iterator[RuleItem]:
    for name, check in sorted(checks_by_name().items()):
        yield check_item(name, check)


def _contract() -> Iterator[RuleItem]:
    for code, text in {**FAULT_CODES, **INTAKE_REASONS}.items():
        yield RuleItem(name=code, kind="contract", reason=code, meaning=text, actions=("refuse", "reject"))


def _policies() -> Iterator[RuleItem]:
    for name, text in _DUPLICATES.items():
        reason, toml = "duplicate" if name == "first" else None, f'duplicates = "{name}"\n'
        actions: tuple[Action, ...] = ("reject",) if reason else ()
        yield RuleItem(name=name, kind="policy", reason=reason, meaning=text, actions=actions, example=toml)
    for code, text in {**TIME_REASONS, **STATE_REASONS}.items():
        if code != "duplicate":
            toml = _POLICY_EXAMPLES.get(code, "")
            yield RuleItem(name=code, kind="policy", reason=code, meaning=text, example=toml)
    for code, text in MARK_CODES.items():
        yield RuleItem(name=code, kind="policy", reason=code, meaning=text, actions=("flag",), example=_MARK_EXAMPLE)


RULE_ROUTES: Final = [list_rules, get_rule, list_codes]
