"""Reads what stands among registers and is no number: texts, true and false, arrays, objects. Both readers use it.

Such a member is passed over with a mark, kept as an attribute, or a fault, as [registers] `texts` says; or it is a
number after all, where the feed reads numbers in texts or booleans.
"""

from typing import Any, Final, Literal

import msgspec

from tidemill.decode.exactness import judge_exactness
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.strict_json import json_type
from tidemill.decode.text_numbers import NumberText, TextFault, TextForm, read_number_text, register_form
from tidemill.feeds.definition import NotExact, Registers

MARK: Final = "register_no_number"
MAX_TEXT: Final = 256  # characters of a text that is kept as an attribute


class RegisterForm(msgspec.Struct, frozen=True):
    """How registers are read: what becomes of members that are no numbers, and which of them are numbers after all."""

    texts: Literal["flag", "attribute", "reject"]
    number: TextForm | None
    booleans: bool
    not_exact: NotExact

    def number_of(self, value: Any) -> float | None:
        """The number of a member that is no JSON number, for the fast reader; None where it certainly is none, or is
        not certain."""
        if isinstance(value, bool):
            return float(value) if self.booleans else None
        if self.number is None or not isinstance(value, str):
            return None
        read = read_number_text(value, self.number)
        return read.number if isinstance(read, NumberText) and abs(read.number) < 2**53 else None

    def is_passed_over(self, value: Any) -> bool:
        """Whether the fast reader may pass over a member that has no `number_of`, or keep it as an attribute."""
        if self.texts == "reject":
            return False
        if not isinstance(value, str):
            return not isinstance(value, bool) or not self.booleans
        if self.number is not None and isinstance(read_number_text(value, self.number), NumberText):
            return False
        return self.texts == "flag" or 0 < len(value) <= MAX_TEXT


def register_plan(registers: Registers, not_exact: NotExact) -> RegisterForm:
    """The form of a feed's registers."""
    return RegisterForm(registers.texts, register_form(registers), registers.booleans, not_exact)


def attribute_text(value: Any) -> str | None:
    """The text of a member that can be kept as an attribute, else None."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


def read_register(value: Any, path: str, form: RegisterForm, faults: FaultCollector) -> float | None:
    """The number of a member that is no JSON number, by the strict reader; None where it is none, or with a fault."""
    if isinstance(value, bool) and form.booleans:
        return float(value)
    if not isinstance(value, str) or form.number is None:
        return None
    read = read_number_text(value, form.number)
    if not isinstance(read, NumberText):
        return None
    if abs(read.number) == float("inf"):
        faults.add(path, "not_finite", "must be a finite number that a double can hold")
        return None
    if read.integer is not None and not judge_exactness(read.integer, path, form.not_exact, faults):
        return None
    return read.number


def register_fault(value: Any, form: RegisterForm) -> tuple[str, str]:
    """(code, sentence) of the fault of a register that is no number."""
    if isinstance(value, str) and form.number is not None:
        read = read_number_text(value, form.number)
        if isinstance(read, TextFault):
            return read.code, read.message
    return "wrong_type", f"must be a number, is {json_type(value)}"
