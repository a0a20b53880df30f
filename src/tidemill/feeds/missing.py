"""What a feed's text names and nobody here offers: decoders and checks of packages that are not installed."""

import tomllib
from typing import Any

from tidemill.checks.library import checks_by_name
from tidemill.feeds.formats import known_formats


def missing_plugins(text: str) -> tuple[str, ...]:
    """Such as `decoder 'key-value'` and `rule 'dew_point'`, each once; none of a text that is not TOML."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    table = data.get("input")
    formats = _texts(table.get("formats")) if isinstance(table, dict) else []
    rules = data.get("rules")
    named = _texts([rule.get("check") for rule in rules if isinstance(rule, dict)]) if isinstance(rules, list) else []
    absent = [f"decoder '{name}'" for name in formats if name not in known_formats()]
    absent += [f"rule '{name}'" for name in named if name not in checks_by_name()]
    return tuple(dict.fromkeys(absent))


def _texts(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
