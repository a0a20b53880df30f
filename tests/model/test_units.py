"""Units: known values to the last digit, and what has no conversion says so."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.model.units import ALIASES, conversion, readings, symbols, unit_groups

# (a number, of a unit) is (a number, of another): NIST SP 811 (2008), appendix B.8, and the SI brochure (2019).
KNOWN = [
    *((0, "degC", 273.15, "K"), (100, "degC", 212, "degF"), (-40, "°F", -40, "°C"), (300, "K", 26.85, "degC")),
    *((98.6, "F", 37, "C"), (1013.25, "hPa", 1, "atm"), (1, "bar", 100, "kPa"), (1, "psi", 6894.757293168361, "Pa")),
    *((1, "mbar", 1, "hPa"), (760, "torr", 1, "atm"), (1, "in", 25.4, "mm"), (1, "mi", 1.609344, "km")),
    *((1, "ft", 30.48, "cm"), (36, "km/h", 10, "m/s"), (1, "kn", 1.852, "km/h"), (1, "mph", 0.44704, "m/s")),
    *(
        (1, "kWh", 3.6, "MJ"),
        (1, "MWh", 1000, "kWh"),
        (1, "hp", 745.6998715822702, "W"),
        (1, "BTU", 1.05505585262, "kJ"),
    ),
    *((1, "lb", 0.45359237, "kg"), (16, "oz", 1, "lb"), (1, "t", 1000, "kg"), (90, "min", 1.5, "h"), (2, "d", 48, "h")),
    *((230_000, "mV", 230, "V"), (4, "mA", 0.004, "A"), (3000, "rpm", 50, "Hz"), (1, "kHz", 1000, "1/s")),
    *((1, "g", 9.80665, "m/s2"), (1000, "mg", 9.80665, "m/s²"), (1000, "g", 1, "kg"), (5, "%", 0.05, "1")),
    *((1, "m3", 1000, "l"), (1, "m³/h", 1000 / 3600, "l/s"), (60, "L/min", 1, "l/s"), (1, "gal_us", 3.785411784, "l")),
    *((1, "kg/m^3", 1, "g/l"), (50, "ug/m3", 0.05, "mg/m**3"), (1, "kWh/m2", 3.6, "MJ/m2"), (1, "W/m².K", 1, "W/m2/K")),
    *((180, "deg", math.pi, "rad"), (1, "kvarh", 1000, "varh"), (1, "kΩ", 1000, "ohm"), (8, "Mbit/s", 1, "MB/s")),
    *((1, "N.m", 1, "J"), (1, "kt", 1000, "t"), (1, "µS/cm", 100, "uS/m"), (1, "kph", 1, "km/h"), (1, "Ah", 3600, "C")),
]


@pytest.mark.parametrize(("number", "source", "expected", "target"), KNOWN)
def test_known_conversions(number: float, source: str, expected: float, target: str) -> None:
    scale, offset = conversion(source, target)
    assert number * scale + offset == pytest.approx(expected, rel=1e-15, abs=1e-12)
    scale, offset = conversion(target, source)
    assert expected * scale + offset == pytest.approx(number, rel=1e-14, abs=1e-12)


@pytest.mark.parametrize(
    ("source", "target"),
    [("degC", "Pa"), ("kWh", "kW"), ("rpm", "rad/s"), ("kg", "m/s2"), ("degC/h", "K/h"), ("bit", "1"), ("deg", "degC")],
)
def test_what_measures_something_else_is_not_converted(source: str, target: str) -> None:
    with pytest.raises(ValueError, match=r"do not measure the same|there is no unit"):
        conversion(source, target)


@pytest.mark.parametrize("unit", ["", "dB", "pHx", "kkm", "m//s", "m^", "m/", "/s", "m10", "k%", "x" * 5000, "m." * 50])
def test_an_unknown_unit_is_none(unit: str) -> None:
    with pytest.raises(ValueError, match="there is no unit"):
        readings(unit)


def test_a_unit_that_is_almost_one_is_told() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'degC'\?"):
        conversion("degc", "K")


@given(st.sampled_from(sorted(symbols())), st.sampled_from(["", "/s", ".m2", "/h"]))
def test_a_unit_is_itself(symbol: str, rest: str) -> None:
    assert conversion(symbol + rest, symbol + rest) == (1.0, 0.0)


@given(st.text(max_size=12))
def test_whatever_is_written_is_a_unit_or_a_value_error(text: str) -> None:
    try:
        readings(text)
    except ValueError as error:
        assert "there is no unit" in str(error)


@pytest.mark.parametrize(
    ("number", "source", "expected", "target"),
    [
        *(
            (10, "knots", 5.144444444444445, "m/s"),
            (60, "Wmin", 1, "Wh"),
            (1, "kWs", 1, "kJ"),
            (90, "minutes", 1.5, "hours"),
        ),
        *((50, "percent", 0.5, "1"), (3, "feet", 1, "yd"), (100, "kmh", 100, "km/h"), (1, "kVAr", 1000, "var")),
        *((1, "Mbps", 1000, "kbit/s"), (20, "Celsius", 68, "Fahrenheit"), (1, "liters/minute", 1, "l/min")),
        (1, "cfm", 1, "ft3/min"),
    ],
)
def test_everyday_names(number: float, source: str, expected: float, target: str) -> None:
    scale, offset = conversion(source, target)
    assert number * scale + offset == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("unit", "words"), [("gal", "gal_us or gal_uk"), ("gpm", "gal_us/min"), ("tons", "1,000 kg"), ("degrees", "degC")]
)
def test_a_name_with_several_meanings_is_none_and_says_what_to_write(unit: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"there is no unit '{unit}', which means different .*{words}"):
        readings(unit)


def test_the_documentation_has_every_unit() -> None:
    listed = {symbol for group in unit_groups() for symbol, *_ in group.units}
    assert listed == set(symbols())
    assert set(ALIASES.values()) <= listed
