"""What of the environment and of the folder of secrets the [source] of each tenant's feeds may read.

Whoever may apply a feed chooses where its requests go, so whatever a [source] can read can leave the house. A variable
belongs to one tenant, by the operator's setting, and a secret's file lies in the folder of its tenant. What is another
tenant's looks the same as what nobody has.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from tidemill.feeds.recipes import variables as recipe_variables
from tidemill.settings import DEFAULT_TENANT, Settings, variables_by_tenant

SETTING: Final = "TIDEMILL_SOURCE_VARIABLES"
OPEN: Final = ("TIDEMILL_*",)  # for the tenant default while nobody else can apply feeds
AS_WRITTEN: Final[Mapping[str, str]] = MappingProxyType({})  # for who polls nothing: references stay references
NEVER: Final = frozenset(
    {
        "TIDEMILL_RUNTIME",  # once the supervisor's word to its processes; never set now
        "TIDEMILL_STORE_SECRET",
        "TIDEMILL_KEY",  # of whoever started the server from a shell where the commands are used
        "TIDEMILL_CRASH_AT",
        "TIDEMILL_STOP_AT",
        "TIDEMILL_ACCEPT_LOSS",
        "TIDEMILL_ACCEPT_CATALOG_LOSS",
        *(f"TIDEMILL_{name.upper()}" for name in Settings.__struct_fields__),
    }
)
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)  # what else is a tenant's name has no folder of secrets


class Visible(Mapping[str, str]):
    """The part of an environment that `names` name (each with or without a `*` at its end), without ours. What is not
    there may say why: `refusal`. `tenant` is whose it is."""

    def __init__(self, environment: Mapping[str, str], names: tuple[str, ...], tenant: str = DEFAULT_TENANT) -> None:
        self._environment = environment
        self._tenant = tenant
        self._names = names
        self._whole = frozenset(name for name in names if not name.endswith("*"))
        self._begins = tuple(name.removesuffix("*") for name in names if name.endswith("*"))

    def refusal(self, name: str) -> str | None:
        """Why this variable is not for a [source], and what to do; None if it is. The same words whether or not it is
        set, and whosever it is."""
        if name in NEVER:
            return f"{name} belongs to the server itself and is never filled in; take another name"
        if name in self._whole or name.startswith(self._begins):
            return None
        names = ",".join((*self._names, name))
        if self._tenant == DEFAULT_TENANT:
            remedy = f"to allow it, start with {SETTING}={names}"
            return f"{name} is not among the variables that [source] may read; {remedy}"
        remedy = f"to bind it, start the server with {SETTING} that has the part ;{self._tenant}={names}"
        return f"{name} is not bound to the tenant '{self._tenant}'; {remedy}"

    def is_unset_recipe_variable(self, name: str) -> bool:
        """Whether it is a variable of the recipes, asked for by the tenant that has them, and not set."""
        return self._tenant == DEFAULT_TENANT and name in recipe_variables() and name not in self._environment

    def __getitem__(self, name: str) -> str:
        """Its value. Raises KeyError also for what must not be seen."""
        if self.refusal(name) is not None:
            raise KeyError(name)
        return self._environment[name]

    def __iter__(self) -> Iterator[str]:
        """The names that are set and may be seen."""
        return (name for name in self._environment if self.refusal(name) is None)

    def __len__(self) -> int:
        """How many they are."""
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Visible({self._tenant}: {','.join(self._names)})"  # not its values: they may be secrets


class VariableScope(msgspec.Struct, frozen=True):
    """What a [source] may read: these variables, and files below this folder (None: no file)."""

    variables: Mapping[str, str] = AS_WRITTEN
    secrets_folder: Path | None = None


class Reaches:
    """What each tenant's sources may read by these settings. `closed` says whether there was ever a key: until then
    only the operator applies feeds, all of them of the tenant default."""

    def __init__(self, environment: Mapping[str, str], settings: Settings, closed: Callable[[], bool]) -> None:
        self._environment = environment
        self._settings = settings
        self._closed = closed

    def of(self, tenant: str) -> VariableScope:
        """What the feeds of this tenant may read now."""
        closed, folder = self._closed(), Path(self._settings.secrets)
        variables = visible(self._environment, self._settings.source_variables, tenant, closed=closed)
        if tenant == DEFAULT_TENANT and not closed:
            return VariableScope(variables, folder)
        return VariableScope(variables, folder / tenant if _TENANT.fullmatch(tenant) else None)


def visible(
    environment: Mapping[str, str], bound: str = "", tenant: str = DEFAULT_TENANT, *, closed: bool = False
) -> Visible:
    """What of an environment the feeds of a tenant may see. `bound` is the setting `source_variables`; `closed`: there
    was a key."""
    by_tenant = variables_by_tenant(bound)
    if tenant in by_tenant or tenant != DEFAULT_TENANT:
        return Visible(environment, by_tenant.get(tenant, ()), tenant)
    if not (closed or by_tenant):
        return Visible(environment, OPEN, tenant)
    theirs = [Visible({}, names) for names in by_tenant.values()]
    names = (name for name in recipe_variables() if all(other.refusal(name) for other in theirs))
    return Visible(environment, tuple(names), tenant)


def refusal(environment: Mapping[str, str], name: str, default: str | None = None) -> str | None:
    """Why this environment does not give that variable, if it is one that may refuse. A recipe's variable that has a
    `default` and is not set takes that: a recipe that nobody configured is no fault, whatever the setting names."""
    if not isinstance(environment, Visible) or (default is not None and environment.is_unset_recipe_variable(name)):
        return None
    return environment.refusal(name)
