"""Converts numbers whose unit a record names to the unit of their field.

What a unit means is kept for each field, also that a unit cannot be converted, and why.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from tidemill.feeds.definition import Field

_KEPT: Final = 256  # units of one field
UnitConverter = Callable[[str], tuple[float, float] | str]


def unit_converter(field: Field) -> UnitConverter:
    """A function that gives the factor and summand of a number in a unit, with the field's scale and offset; or a
    sentence that names a unit that is unknown or measures something else."""

    @lru_cache(_KEPT)
    def linear_of(unit: str) -> tuple[float, float] | str:
        try:
            return field.linear_of(unit)
        except ValueError as error:
            return str(error)

    return linear_of
