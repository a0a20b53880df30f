"""The meaning of every key of a feed definition, in a sentence, for editors. The docstrings of the tables say more."""

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[str, Mapping[str, str]]] = {}
