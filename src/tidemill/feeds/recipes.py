"""The five recipes that every tenant starts with, as their TOML texts (`recipes/*.toml`)."""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final


def _read_recipes() -> dict[str, str]:
    folder = files("tidemill.feeds").joinpath("recipes")
    texts = {file.name.removesuffix(".toml"): file.read_text("utf-8") for file in folder.iterdir()}
    return dict(sorted(texts.items()))


RECIPES: Final[Mapping[str, str]] = MappingProxyType(_read_recipes())

# SHA-256 of the texts of recipes that earlier versions shipped.
FORMER_RECIPES: Final = frozenset(
    {
        "c71b9562902efe0e51aa46b6828954872f4ec4a942eb56895fb3fd4d84459706",  # meters, polled a port of its own accord
        "97c6561ea5c6e77172d2e7e90687f1e2ff2d9d0e0d3df1505793e5fa1358ccac",  # location, compared instants only
        "cab6740a0bbb07576497ba6764e23c5ddbf9bf85a82e37273a42a89d07e707cd",  # telemetry, likewise
    }
)


def is_shipped_recipe(name: str, text: str, sha256: str) -> bool:
    """Whether a feed's text is a recipe as shipped, now or by an earlier version, so that no user has changed it."""
    return text == RECIPES.get(name) or sha256 in FORMER_RECIPES


def recipe_variables() -> dict[str, str]:
    """The environment variables that the recipes' sources read, with the defaults that they name."""
    return dict(re.findall(r"\$\{(\w+):-([^}]*)\}", "".join(RECIPES.values())))
