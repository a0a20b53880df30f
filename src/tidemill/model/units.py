"""Units of measurement: converts a number of one unit to another, for the units that measuring teams use.

A unit is one symbol (`kWh`, `degC`), or several with powers, joined by `.` or `*`, the divisors behind `/`: `m/s`,
`m3/h`, `kg/m^3`, `W/m²`. Prefixes from p to T stand before units that take them. Factors are exact fractions; those of
feet, pounds and the like are the legal ones (NIST SP 811, 2008, appendix B).

A revolution counts as 1, so that 60 rpm are 1 Hz; angles (rad, deg) are a kind of their own. A symbol with two meanings
has the meaning that fits the other unit: `g` is a gram, or the standard acceleration; `kt` a knot, or 1,000 tonnes.
Levels (dB, pH) have no factor, so they are unknown.
"""

import difflib
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache, lru_cache
from itertools import product
from types import MappingProxyType
from typing import Final

import msgspec

PREFIXES: Final = {
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "h": 2,
    "d": -1,
    "c": -2,
    "m": -3,
    "u": -6,
    "μ": -6,
    "n": -9,
    "p": -12,
}
# symbol = factor, then each base unit with its power. First the units that take prefixes.
_PREFIXED: Final = """
m = 1 m, g = 1/1000 kg, s = 1 s, A = 1 A, K = 1 K, mol = 1 mol, cd = 1 cd, rad = 1 rad, bit = 1 bit, B = 8 bit,
Hz = 1 s-1, N = 1 kg m s-2, Pa = 1 kg m-1 s-2, J = 1 kg m2 s-2, W = 1 kg m2 s-3, C = 1 s A, V = 1 kg m2 s-3 A-1,
ohm = 1 kg m2 s-3 A-2, Ω = 1 kg m2 s-3 A-2, S = 1 kg-1 m-2 s3 A2, F = 1 kg-1 m-2 s4 A2, H = 1 kg m2 s-2 A-2,
T = 1 kg s-2 A-1, Wb = 1 kg m2 s-2 A-1, lm = 1 cd, lx = 1 cd m-2, Bq = 1 s-1, Gy = 1 m2 s-2, Sv = 1 m2 s-2,
Wh = 3600 kg m2 s-2, VA = 1 kg m2 s-3, VAh = 3600 kg m2 s-2, var = 1 kg m2 s-3, varh = 3600 kg m2 s-2,
Wmin = 60 kg m2 s-2, Ws = 1 kg m2 s-2, VAr = 1 kg m2 s-3, VArh = 3600 kg m2 s-2, bps = 1 bit s-1,
Ah = 3600 s A, cal = 4.184 kg m2 s-2, bar = 100000 kg m-1 s-2, l = 1/1000 m3, L = 1/1000 m3, t = 1000 kg
"""
_PLAIN: Final = """
1 = 1, % = 1/100, ppm = 1/1000000, ppb = 1/1000000000, rpm = 1/60 s-1,
min = 60 s, h = 3600 s, d = 86400 s, week = 604800 s,
in = 0.0254 m, ft = 0.3048 m, yd = 0.9144 m, mi = 1609.344 m, nmi = 1852 m, ha = 10000 m2,
cfm = 18435447/39062500000 m3 s-1, mph = 0.44704 m s-1, kph = 5/18 m s-1, kmh = 5/18 m s-1, kn = 463/900 m s-1,
kt = 463/900 m s-1, gn = 9.80665 m s-2,
lb = 0.45359237 kg, oz = 0.028349523125 kg, lbf = 4.4482216152605 kg m s-2,
psi = 8896443230521/1290320000 kg m-1 s-2, atm = 101325 kg m-1 s-2, torr = 20265/152 kg m-1 s-2,
mmHg = 133.322387415 kg m-1 s-2, inHg = 3386.388640341 kg m-1 s-2,
hp = 745.69987158227022 kg m2 s-3, PS = 735.49875 kg m2 s-3, BTU = 1055.05585262 kg m2 s-2,
gal_us = 0.003785411784 m3, gal_uk = 0.00454609 m3, KiB = 8192 bit, MiB = 8388608 bit, GiB = 8589934592 bit
"""
_DEGREE: Final = Fraction("3.14159265358979323846264338327950288") / 180  # to more digits than a double has
_FAHRENHEIT: Final = Fraction(5, 9)
# Scales whose zero is not absolute zero, so that they are never part of a product: factor and offset to K.
_TEMPERATURES: Final = {
    **dict.fromkeys(("degC", "°C", "C", "Celsius", "celsius"), (Fraction(1), Fraction("273.15"))),
    **dict.fromkeys(("degF", "°F", "F", "Fahrenheit", "fahrenheit"), (_FAHRENHEIT, Fraction("459.67") * _FAHRENHEIT)),
}
# Everyday names, each with its symbol; they take no prefix.
ALIASES: Final = {
    **dict.fromkeys(("knot", "knots", "kts"), "kn"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("Byte", "byte", "bytes"), "B"),
    **dict.fromkeys(("bits",), "bit"),
    **dict.fromkeys(("percent", "pct"), "%"),
    **dict.fromkeys(("liter", "liters", "litre", "litres"), "l"),
    **dict.fromkeys(("meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("foot", "feet"), "ft"),
    **dict.fromkeys(("inch", "inches"), "in"),
    **dict.fromkeys(("mile", "miles"), "mi"),
    **dict.fromkeys(("gram", "grams"), "g"),
    **dict.fromkeys(("lbs",), "lb"),
    **dict.fromkeys(("volt", "volts"), "V"),
    **dict.fromkeys(("amp", "amps", "ampere", "amperes"), "A"),
    **dict.fromkeys(("watt", "watts"), "W"),
    **dict.fromkeys(("joule", "joules"), "J"),
    **dict.fromkeys(("pascal", "pascals"), "Pa"),
    **dict.fromkeys(("hertz",), "Hz"),
    **dict.fromkeys(("kelvin", "Kelvin"), "K"),
    **dict.fromkeys(("lux",), "lx"),
    **dict.fromkeys(("°",), "deg"),
}
# Names that mean different things in different places, so that none is taken: what to write instead.
_AMBIGUOUS: Final = {
    **dict.fromkeys(("gal", "gallon", "gallons"), "gal_us or gal_uk"),
    "gpm": "gal_us/min or gal_uk/min",
    **dict.fromkeys(("ton", "tons"), "t (1,000 kg), or lb"),
    **dict.fromkeys(("degree", "degrees"), "degC, degF or deg"),
}
# The quantities of the documentation, each by the unit that the others are counted in.
QUANTITIES: Final = {
    "m": "length",
    "m2": "area",
    "m3": "volume",
    "m3/s": "flow",
    "m/s": "speed",
    "m/s2": "acceleration",
    "kg": "mass",
    "s": "time",
    "Hz": "frequency, revolutions",
    "N": "force",
    "Pa": "pressure",
    "J": "energy",
    "W": "power",
    "A": "current",
    "A.s": "charge",
    "V": "voltage",
    "ohm": "resistance",
    "S": "conductance",
    "A.s/V": "capacitance",
    "H": "inductance",
    "T": "magnetic flux density",
    "Wb": "magnetic flux",
    "K": "temperature",
    "mol": "amount of substance",
    "cd": "luminous intensity and flux",
    "lx": "illuminance",
    "Gy": "dose",
    "rad": "angle",
    "bit": "data",
    "bit/s": "rate of data",
    "1": "ratio",
}
_SECOND_MEANINGS: Final = {"g": "gn"}
_SIGNS: Final = str.maketrans({"−": "-", "·": ".", "⋅": ".", "*": "."})
_FACTOR: Final = re.compile(r"(1|[^\d.^-]+)(?:\^?(-?[1-9]))?")
_MAX_LENGTH: Final = 40
_MAX_MEANINGS: Final = 16  # of all symbols together; each takes some 10 us
_KEPT: Final = 4096  # units whose meaning is kept


class Unit(msgspec.Struct, frozen=True):
    """A unit: a number of it times `scale` plus `offset` is the number of base units. `bases`: each base unit with its
    power."""

    scale: Fraction
    offset: Fraction
    bases: frozenset[tuple[str, int]]


def conversion(source: str, target: str, *, hint: bool = True) -> tuple[float, float]:
    """(scale, offset): a number of `source` times the scale plus the offset is the number of `target`. Each is the
    double nearest to the exact value. Raises ValueError for an unknown unit, and for units of different quantities.
    Without the `hint` a unit that is almost `source` is looked for only by its spelling in small letters: looking for
    others takes a millisecond, and records may name a million units."""
    for source_unit, target_unit in product(readings(source, hint=hint), readings(target)):
        if source_unit.bases == target_unit.bases:
            scale, offset = source_unit.scale / target_unit.scale, source_unit.offset - target_unit.offset
            return float(scale), float(offset / target_unit.scale)
    raise ValueError(f"'{source}' and '{target}' do not measure the same")


def readings(text: str, *, hint: bool = True) -> tuple[Unit, ...]:
    """The units that a text can mean, the likeliest first. Raises ValueError for a text that is no unit; for `hint` see
    `conversion`."""
    units = _readings(text)
    if not units:
        raise ValueError(f"there is no unit '{text[:_MAX_LENGTH]}'{_hint(text[:_MAX_LENGTH], thorough=hint)}")
    return units


@lru_cache(_KEPT)
def _readings(text: str) -> tuple[Unit, ...]:
    units = []
    plain = unicodedata.normalize("NFKC", text).replace("**", "^").translate(_SIGNS)  # ² is 2, ℃ is °C, both μ are one
    if plain in _TEMPERATURES:
        units.append(Unit(*_TEMPERATURES[plain], frozenset([("K", 1)])))
    dividend, *divisors = (part.split(".") for part in plain.split("/"))
    powers = [(symbol, 1) for symbol in dividend] + [(symbol, -1) for part in divisors for symbol in part]
    if len(text) <= _MAX_LENGTH and len(powers) <= 6:
        meanings = [_factors(symbol, sign) for symbol, sign in powers]
        if math.prod(map(len, meanings)) <= _MAX_MEANINGS:
            units += map(_multiplied, product(*meanings))
    return tuple(units)


def _factors(text: str, sign: int) -> list[Unit]:
    """The units that a symbol with its power can mean; [] for an unknown symbol."""
    match = _FACTOR.fullmatch(text.strip())
    if match is None:
        return []
    power = sign * int(match[2] or 1)
    units = list(_meanings(ALIASES.get(match[1], match[1])))
    return [Unit(unit.scale**power, Fraction(0), frozenset((b, n * power) for b, n in unit.bases)) for unit in units]


def _meanings(symbol: str) -> Iterator[Unit]:
    """The units that a symbol can mean: the whole symbol before a prefix with a shorter symbol, and a symbol's second
    meaning after its first."""
    for prefix, rest in (("", symbol), (symbol[:1], symbol[1:])):
        if prefix and (prefix not in PREFIXES or rest not in _symbols(_PREFIXED) or symbol == "dB"):
            continue
        second = _SECOND_MEANINGS.get(rest, "") if prefix != "k" else ""  # kg is no acceleration, whatever it meets
        for name in (rest, second):
            if unit := symbols().get(name):
                yield Unit(unit.scale * Fraction(10) ** PREFIXES.get(prefix, 0), Fraction(0), unit.bases)


def _multiplied(factors: tuple[Unit, ...]) -> Unit:
    scale, bases = Fraction(1), dict[str, int]()
    for factor in factors:
        scale *= factor.scale
        for base, power in factor.bases:
            bases[base] = bases.get(base, 0) + power
    return Unit(scale, Fraction(0), frozenset((base, power) for base, power in bases.items() if power))


@cache
def symbols() -> Mapping[str, Unit]:
    """Every unit by its symbol, without prefixes and without temperatures."""
    degree = Unit(_DEGREE, Fraction(0), frozenset([("rad", 1)]))
    return MappingProxyType({**_symbols(_PREFIXED), **_symbols(_PLAIN), "deg": degree})


@cache
def _symbols(table: str) -> Mapping[str, Unit]:
    units = {}
    for line in table.split(","):
        symbol, meaning = line.strip().split(" = ")
        factor, *bases = meaning.split(" ")
        powers = (re.fullmatch(r"([A-Za-z]+)(-?\d)?", base) for base in bases)
        bases_of_unit = frozenset((match[1], int(match[2] or 1)) for match in powers if match)
        units[symbol] = Unit(Fraction(factor), Fraction(0), bases_of_unit)
    return MappingProxyType(units)


def _hint(text: str, *, thorough: bool) -> str:
    if text in _AMBIGUOUS:
        return f", which means different units in different places; write {_AMBIGUOUS[text]}"
    known = _spellings()
    spelled = text.casefold()
    close = [spelled] if spelled in known else difflib.get_close_matches(spelled, known, 1) if thorough else []
    return f" (did you mean '{known[close[0]]}'?)" if close else ""


@cache
def _spellings() -> Mapping[str, str]:
    """Every symbol, and the commonest with prefixes, by its spelling in small letters."""
    prefixed = [f"{prefix}{name}" for name in _symbols(_PREFIXED) for prefix in "kmM"]
    return MappingProxyType({name.casefold(): name for name in [*prefixed, *symbols(), *_TEMPERATURES, *ALIASES]})


class UnitGroup(msgspec.Struct, frozen=True):
    """The units of one quantity, for the documentation: the quantity's name, the unit that the factors count in, and
    (symbol, factor as text, whether it takes prefixes, other names)."""

    quantity: str
    base: str
    units: tuple[tuple[str, str, bool, tuple[str, ...]], ...]


def unit_groups() -> list[UnitGroup]:
    """Every unit without a prefix, by quantity, in the order of QUANTITIES; temperatures that count from another zero
    are `temperature_scales`."""
    names: dict[str, list[str]] = {}
    for name, symbol in ALIASES.items():
        names.setdefault(symbol, []).append(name)
    groups = []
    for base, quantity in QUANTITIES.items():
        reference = readings(base)[0]
        members = []
        for symbol, unit in symbols().items():
            if unit.bases == reference.bases:
                factor = unit.scale / reference.scale
                decimal = f"{float(factor):.15g}"
                shown = decimal if Fraction(decimal) == factor else str(factor)
                members.append((symbol, shown, symbol in _symbols(_PREFIXED), tuple(names.get(symbol, ()))))
        groups.append(UnitGroup(quantity, base, tuple(members)))
    return groups


def temperature_scales() -> tuple[str, ...]:
    """The names of temperatures that count from another zero than absolute zero."""
    return tuple(_TEMPERATURES)
