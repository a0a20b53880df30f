"""Which environment variables and which files of secrets the [source] of a tenant's feeds may read.

Whoever may apply a feed chooses the host of its requests, so everything that a [source] can read can be sent to another
host. A variable belongs to one tenant, by the operator's setting, and a secret's file is in the folder of its tenant.
A refusal does not show whether a variable belongs to another tenant or does not exist.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from tidemill.feeds.recipes import recipe_variables
from tidemill.settings import DEFAULT_TENANT, Settings, variables_by_tenant

SETTING: Final = "TIDEMILL_SOURCE_VARIABLES"
OPEN: Final = ("TIDEMILL_*",)  # of the tenant default while nobody but the operator can apply feeds
AS_WRITTEN: Final[Mapping[str, str]] = MappingProxyType({})  # of a process that does not poll: references are kept
NEVER: Final = frozenset(
    {
        "TIDEMILL_RUNTIME",  # set by the supervisor of earlier versions for its processes; never set now
        "TIDEMILL_STORE_SECRET",
        "TIDEMILL_KEY",  # the key of the commands, in the shell from which the server may have been started
        "TIDEMILL_CRASH_AT",
        "TIDEMILL_STOP_AT",
        "TIDEMILL_ACCEPT_LOSS",
        "TIDEMILL_ACCEPT_CATALOG_LOSS",
        *(f"TIDEMILL_{name.upper()}" for name in Settings.__struct_fields__),
    }
)
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)  # a tenant of another name has no folder of secrets


class VisibleVariables(Mapping[str, str]):
    """The variables of an environment that `names` allow (names, or beginnings of names that end in `*`), without those
    of the server itself. `refusal` says why a variable is not among them. `tenant` is the tenant they belong to."""

    def __init__(self, environment: Mapping[str, str], names: tuple[str, ...], tenant: str = DEFAULT_TENANT) -> None:
        self._environment = environment
        self._tenant = tenant
        self._names = names
        self._whole = frozenset(name for name in names if not name.endswith("*"))
        self._begins = tuple(name.removesuffix("*") for name in names if name.endswith("*"))

    def refusal(self, name: str) -> str | None:
        """Why a [source] may not read this variable, and what to do; None if it may. The text is the same whether or
        not the variable is set, and whichever tenant it belongs to."""
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
        """Whether a recipe reads this variable, the tenant is the one that has the recipes, and it is not set."""
        return self._tenant == DEFAULT_TENANT and name in recipe_variables() and name not in self._environment

    def __getitem__(self, name: str) -> str:
        """The variable's value. Raises KeyError if it is not set or refused."""
        if self.refusal(name) is not None:
            raise KeyError(name)
        return self._environment[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the variables that are set and not refused."""
        return (name for name in self._environment if self.refusal(name) is None)

    def __len__(self) -> int:
        """How many variables are set and not refused."""
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Visible({self._tenant}: {','.join(self._names)})"  # without the values: they may be secrets


class VariableScope(msgspec.Struct, frozen=True):
    """The variables that a [source] may read, and the folder below which it may read files (None: no file)."""

    variables: Mapping[str, str] = AS_WRITTEN
    secrets_folder: Path | None = None


class TenantScopes:
    """The `VariableScope` of each tenant by these settings. `closed` returns whether there was ever an API key: until
    then only the operator applies feeds, all of them of the tenant default."""

    def __init__(self, environment: Mapping[str, str], settings: Settings, closed: Callable[[], bool]) -> None:
        self._environment = environment
        self._settings = settings
        self._closed = closed

    def scope_of(self, tenant: str) -> VariableScope:
        """The variables and files that the sources of this tenant may read now."""
        closed, folder = self._closed(), Path(self._settings.secrets)
        variables = visible_variables(self._environment, self._settings.source_variables, tenant, closed=closed)
        if tenant == DEFAULT_TENANT and not closed:
            return VariableScope(variables, folder)
        return VariableScope(variables, folder / tenant if _TENANT.fullmatch(tenant) else None)


def visible_variables(
    environment: Mapping[str, str], bound: str = "", tenant: str = DEFAULT_TENANT, *, closed: bool = False
) -> VisibleVariables:
    """The variables of an environment that the feeds of a tenant may read. `bound` is the setting `source_variables`;
    `closed`: there was ever an API key."""
    by_tenant = variables_by_tenant(bound)
    if tenant in by_tenant or tenant != DEFAULT_TENANT:
        return VisibleVariables(environment, by_tenant.get(tenant, ()), tenant)
    if not (closed or by_tenant):
        return VisibleVariables(environment, OPEN, tenant)
    others = [VisibleVariables({}, names) for names in by_tenant.values()]
    names = (name for name in recipe_variables() if all(other.refusal(name) for other in others))
    return VisibleVariables(environment, tuple(names), tenant)


def variable_refusal(environment: Mapping[str, str], name: str, default: str | None = None) -> str | None:
    """Why a [source] may not read this variable; None if it may, and for an environment that refuses nothing. An unset
    variable of a recipe is not refused if it has a `default`: a recipe that nobody configured has no fault."""
    if not isinstance(environment, VisibleVariables):
        return None
    unset = default is not None and environment.is_unset_recipe_variable(name)
    return None if unset else environment.refusal(name)
