"""Which variables of the environment a [source] may read: those that the operator's setting names, and never ours.

Whoever may apply a feed chooses where its requests go, so whatever a [source] can read can leave the house.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tidemill.settings import Settings

SETTING: Final = "TIDEMILL_SOURCE_VARIABLES"
DEFAULT: Final = str(Settings.__struct_defaults__[Settings.__struct_fields__.index("source_variables")])
NEVER: Final = frozenset(
    {
        "TIDEMILL_RUNTIME",  # the supervisor's word to its processes: the secrets between them
        "TIDEMILL_STORE_SECRET",
        "TIDEMILL_KEY",  # of whoever started the server from a shell where the commands are used
        "TIDEMILL_PUBLIC_URL",
        "TIDEMILL_CRASH_AT",
        "TIDEMILL_ACCEPT_LOSS",
        *(f"TIDEMILL_{name.upper()}" for name in Settings.__struct_fields__),
    }
)


class Visible(Mapping[str, str]):
    """The part of an environment that `patterns` name, without ours. What is not there may say why: `refusal`."""

    def __init__(self, environment: Mapping[str, str], patterns: str) -> None:
        self._environment = environment
        self._patterns = patterns
        texts = [part.strip() for part in patterns.split(",") if part.strip() not in ("", "none")]
        self._named = frozenset(text for text in texts if not text.endswith("*"))
        self._begins = tuple(text.removesuffix("*") for text in texts if text.endswith("*"))

    def refusal(self, name: str) -> str | None:
        """Why this variable is not for a [source], whether or not it is set, and what to do; None if it is."""
        if name in NEVER:
            return f"{name} belongs to the server itself and is never filled in; take another name"
        if self._names(name):
            return None
        wider = ",".join(part for part in (self._patterns.strip(), name) if part not in ("", "none"))
        return f"{name} is not among the variables that [source] may read; to allow it, start with {SETTING}={wider}"

    def _names(self, name: str) -> bool:
        return name in self._named or name.startswith(self._begins)

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
        return f"Visible({self._patterns})"  # not its values: they may be secrets


def visible(environment: Mapping[str, str], patterns: str = DEFAULT) -> Visible:
    """What of an environment feeds may see: `patterns` are names with commas between them, each with or without a `*`
    at its end, or `none` (setting `source_variables`)."""
    return Visible(environment, patterns)


def refusal(environment: Mapping[str, str], name: str) -> str | None:
    """Why this environment does not give that variable, if it is one that may refuse."""
    return environment.refusal(name) if isinstance(environment, Visible) else None
