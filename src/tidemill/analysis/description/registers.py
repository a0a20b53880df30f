"""Register codes of meters: OBIS, IEC 62056-61, as `1-0:1.8.0*255`, `1.8.0` or the twelve hexadecimal digits of its six
bytes."""

import re
from typing import Final

import msgspec

_TEXT: Final = re.compile(r"(?:(\d{1,3})-(\d{1,3}):)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[*&](\d{1,3}))?", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{12}", re.ASCII)
_ELECTRICITY: Final = {0, 1}  # a medium: 0 where the code does not say
_QUANTITIES: Final = {
    1: ("active energy", "import"),
    2: ("active energy", "export"),
    3: ("reactive energy", "import"),
    4: ("reactive energy", "export"),
    9: ("apparent energy", "import"),
    10: ("apparent energy", "export"),
    16: ("net active energy", None),
}
_POWER: Final = {4, 5, 6, 7, 24, 27}  # averages, maxima and instantaneous values
_COUNTER: Final = 8
_OF_INTERVAL: Final = {9, 29}  # since the last reading, and of each period of the load profile


class Register(msgspec.Struct, frozen=True):
    """What a register code says: `code` as A-B:C.D.E*F, as far as it is given, `quantity` in words, `direction`
    (`import`, `export` or null), and `is_counter` for a reading that only rises."""

    code: str
    quantity: str
    direction: str | None
    is_counter: bool


def read_register(name: str | None) -> Register | None:
    """The register that a field's name is the code of; None for any other name, and for media but electricity."""
    parts = _parts(name or "")
    if parts is None:
        return None
    medium, channel, quantity, kind, tariff, storage = parts
    if quantity not in _QUANTITIES or (medium or 0) not in _ELECTRICITY:
        return None
    words, direction = _QUANTITIES[quantity]
    if kind in _POWER:
        words = words.replace("energy", "power")
    elif kind != _COUNTER and kind not in _OF_INTERVAL:
        return None
    code = f"{quantity}.{kind}.{tariff}"
    code = code if medium is None else f"{medium}-{channel}:{code}"
    code = code if storage is None else f"{code}*{storage}"
    return Register(code, words, direction, kind == _COUNTER)


def _parts(name: str) -> tuple[int | None, int | None, int, int, int, int | None] | None:
    """The six groups of a code; None for those that it leaves out."""
    if _HEXADECIMAL.fullmatch(name):
        medium, channel, quantity, kind, tariff, storage = bytes.fromhex(name)
        return medium, channel, quantity, kind, tariff, storage
    match = _TEXT.fullmatch(name.strip())
    if match is None:
        return None
    groups = [None if group is None else int(group) for group in match.groups()]
    medium_text, channel_text, quantity_text, kind_text, tariff_text, storage_text = groups
    assert quantity_text is not None and kind_text is not None and tariff_text is not None
    return medium_text, channel_text, quantity_text, kind_text, tariff_text, storage_text
