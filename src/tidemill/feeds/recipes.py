"""The five recipes that every tenant starts with, as their TOML texts (`recipes/*.toml`)."""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final


def _read() -> dict[str, str]:
    folder = files("tidemill.feeds").joinpath("recipes")
    found = {file.name.removesuffix(".toml"): file.read_text("utf-8") for file in folder.iterdir()}
    return dict(sorted(found.items()))


RECIPES: Final[Mapping[str, str]] = MappingProxyType(_read())


def variables() -> dict[str, str]:
    """The environment variables that the recipes' sources read, with the defaults that they name."""
    return dict(re.findall(r"\$\{(\w+):-([^}]*)\}", "".join(RECIPES.values())))
