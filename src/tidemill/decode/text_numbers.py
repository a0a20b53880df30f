"""Reads numbers and booleans that are written as texts: `"317.3988"`, `"1 234,5"`, `"23.5 °C"`, `"on"`.

A text has one reading by what the feed declares, or none; nothing is guessed. A column gives the same values as its
single texts (a property test compares them): texts of plain numbers are read as a column, others one by one.
"""

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import msgspec

from tidemill.decode.exactness import EXACT, holds_exactly
from tidemill.decode.unit_converter import UnitConverter, unit_converter
from tidemill.feeds.definition import Field, Registers

_LONGEST: Final = 400  # characters of a number; the digits of the largest double are 309
_SHOWN: Final = 40
# Texts by which APIs and devices say that there is no value, in lower case and without a sign.
_NO_VALUES: Final = frozenset(
    {"", "nan", "inf", "infinity", "null", "none", "n/a", "na", "nil", "unavailable", "unknown", "error"}
)
_PLAIN_DIGITS: Final = r"(?:[0-9]++(?:{decimal}[0-9]*+)?|{decimal}[0-9]++)"
_EXPONENT: Final = r"(?:[eE][+-]?[0-9]++)?"
_SPACES: Final = " \u00a0\u2007\u2009\u202f"  # blank, no-break, of a figure's width, thin, narrow no-break
_SIGNS: Final = {" ": f"[{_SPACES}]", "'": "['\u2019]"}


class TextFault(msgspec.Struct, frozen=True):
    """Why a text is no value: a code and a sentence."""

    code: str
    message: str


class TextForm(msgspec.Struct, frozen=True, kw_only=True):
    """How the texts of a column are written. `linear` and `linear_of` give the factor and summand of a number without
    and with a unit (`unit_converter`). `truth`: the value of each text
    of a boolean, else None."""

    decimal: str = "."
    thousands: str | None = None
    nulls: frozenset[str] = frozenset()
    truth: dict[Any, float] | None = None
    linear: tuple[float, float] = (1.0, 0.0)
    linear_of: UnitConverter | None = None

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.truth is not None:
            texts = ", ".join(f"'{text}'" for text in self.truth if isinstance(text, str))
            return f"true or false{f', or one of {texts}' if texts else ''}"
        written = f"{f'1{self.thousands}234' if self.thousands else '1234'}{self.decimal}5"
        return f"a number, or a text with one such as '{written}{' kWh' if self.linear_of else ''}'"


def field_form(field: Field) -> TextForm:
    """The form of a field of type `text_number` or `boolean`."""
    nulls = frozenset(text.strip() for text in field.null_texts)
    if field.type == "boolean":
        texts = {text.strip().casefold(): 1.0 for text in field.true_texts}
        texts |= {text.strip().casefold(): 0.0 for text in field.false_texts}
        return TextForm(nulls=nulls, truth={1.0: 1.0, 0.0: 0.0, **texts})
    return TextForm(
        decimal=field.decimal,
        thousands=field.thousands,
        nulls=nulls,
        linear=field.linear,
        linear_of=unit_converter(field) if field.unit_in_text else None,
    )


def register_form(registers: Registers) -> TextForm | None:
    """The form of numbers in texts among registers; None where the feed does not read them."""
    if not registers.number_texts:
        return None
    return TextForm(decimal=registers.decimal, thousands=registers.thousands)


class NumberText(msgspec.Struct, frozen=True):
    """The number that a text holds, before scale; the text's digits if it is an integer, else None; its factor and
    summand."""

    number: float
    integer: int | None
    linear: tuple[float, float]

    @property
    def exact(self) -> bool:
        """Whether a double holds the number, as far as it is an integer."""
        return self.integer is None or not math.isfinite(self.number) or holds_exactly(self.integer)


def read_number_text(text: str, form: TextForm) -> NumberText | TextFault | None:
    """The number of a text; None for a text that stands for null; a fault for any other text. The number may be
    infinite (`1e999`)."""
    bare = text.strip()
    if bare in form.nulls:
        return None
    match = _pattern(form.decimal, form.thousands).match(bare) if len(bare) <= _LONGEST else None
    rest = "" if match is None else bare[match.end() :].strip()
    if match is None or (rest and form.linear_of is None):
        hint = "; if it stands for no value, add it to null_texts" if bare.strip("+-").lower() in _NO_VALUES else ""
        return TextFault("not_a_number", f"must be {form.expected}, is the text '{_shown(text)}'{hint}")
    linear = form.linear
    if rest and form.linear_of is not None:
        converted = form.linear_of(rest)
        if isinstance(converted, str):
            return TextFault("unknown_unit", f"{converted}, in the text '{_shown(text)}'")
        linear = converted
    digits = _bare_digits(match[0], form)
    return NumberText(float(digits), int(digits) if digits.lstrip("+-").isdigit() else None, linear)


def read_truth(value: Any, form: TextForm) -> float | TextFault | None:
    """1 or 0 of a boolean, a number or a text; None for a text that stands for null."""
    assert form.truth is not None
    if isinstance(value, str):
        if value.strip() in form.nulls:
            return None
        truth = form.truth.get(value.strip().casefold())
    else:
        truth = form.truth.get(value)
    return truth if truth is not None else TextFault("invalid_value", f"must be {form.expected}, is {_said(value)}")


def text_column(values: Sequence[Any], form: TextForm, *, certain: bool) -> list[float | None] | None:
    """The values of a column of numbers and texts (or booleans), None for null. None instead of the list if any is not
    certain: with `certain` also an integer that may be too large for a double."""
    if form.truth is not None:
        truths = [None if value is None else read_truth(value, form) for value in values]
        return None if any(isinstance(truth, TextFault) for truth in truths) else truths  # type: ignore[return-value]
    if form.linear_of is None:
        numbers = _plain_column(values, form) or [_number(value, form) for value in values]
        scale, offset = form.linear
        if any(number is not None and not -EXACT < number < EXACT for number in numbers) and (
            certain or not all(number is None or math.isfinite(number) for number in numbers)
        ):
            return None
        if form.linear == (1.0, 0.0):
            return numbers
        return [None if number is None else number * scale + offset for number in numbers]
    return _column_with_units(values, form, certain=certain)


def _column_with_units(values: Sequence[Any], form: TextForm, *, certain: bool) -> list[float | None] | None:
    numbers: list[float | None] = []
    for value in values:
        read = NumberText(value, None, form.linear) if type(value) is float else None
        if isinstance(value, str):
            text = read_number_text(value, form)
            if isinstance(text, TextFault):
                return None
            read = text
        if read is not None and not (-EXACT < read.number < EXACT or (not certain and math.isfinite(read.number))):
            return None
        numbers.append(None if read is None else read.number * read.linear[0] + read.linear[1])
    return numbers


def _plain_column(values: Sequence[Any], form: TextForm) -> list[float | None] | None:
    """The numbers of a column whose texts are all plain: digits, a sign, a decimal sign, an exponent; else None."""
    texts = [value for value in values if type(value) is str]
    joined = "\n".join(texts)
    if form.nulls or joined.count("\n") != max(len(texts) - 1, 0) or max(map(len, texts), default=0) > _LONGEST:
        return None
    if texts and _lines(form.decimal).fullmatch(joined) is None:
        return None
    if form.decimal == ",":
        joined = joined.replace(",", ".")
    if len(texts) == len(values):
        return list(map(float, joined.split("\n"))) if texts else []
    read = iter(joined.split("\n"))
    return [float(next(read)) if type(value) is str else value for value in values]


def _number(value: Any, form: TextForm) -> float | None:
    """One number; NaN where it is not certain."""
    if not isinstance(value, str):
        return None if value is None else float(value)
    read = read_number_text(value, form)
    return None if read is None else math.nan if isinstance(read, TextFault) else read.number


def _bare_digits(text: str, form: TextForm) -> str:
    """The digits of a number as Python reads them."""
    if form.thousands is not None:
        text = re.sub(_SIGNS.get(form.thousands, re.escape(form.thousands)), "", text)
    return text.replace(form.decimal, ".").replace("\u2212", "-")


@cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    """The longest number at the begin of a text."""
    plain = _PLAIN_DIGITS.format(decimal=re.escape(decimal))
    if thousands is not None:
        sign = _SIGNS.get(thousands, re.escape(thousands))
        grouped = rf"[0-9]{{1,3}}(?:{sign}[0-9]{{3}})+(?![0-9])(?:{re.escape(decimal)}[0-9]*+)?"
        plain = f"(?:{grouped}|{plain})"
    return re.compile(rf"[+\u2212-]?{plain}{_EXPONENT}")


@cache
def _lines(decimal: str) -> re.Pattern[str]:
    """Lines that are a plain number each."""
    line = rf"[ \t]*+[+-]?{_PLAIN_DIGITS.format(decimal=re.escape(decimal))}{_EXPONENT}[ \t]*+"
    return re.compile(rf"{line}(?:\n{line})*+")


def _shown(text: str) -> str:
    return text[:_SHOWN] + ("…" if len(text) > _SHOWN else "")


def _said(value: Any) -> str:
    return f"the text '{_shown(value)}'" if isinstance(value, str) else f"the number {value!r}"
