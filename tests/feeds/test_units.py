"""`from_unit`: values come in the feed's own unit, whatever the sender measures in."""

import json

import pytest

from tests.support.payloads import logged
from tidemill.decode.decoder import Decoder
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed

FEED = """name = "p"
[time]
path = "$.t"
format = "unix_s"
[fields.v]
path = "$.v"
"""


def decoded(keys: str, *values: object) -> tuple[list[float], list[list[str]]]:
    feed = load_feed(FEED + keys)
    bodies = [json.dumps({"t": 1_700_000_000, "v": value}).encode() for value in values]
    batch = Decoder(feed).decode_batch([logged(seq, body, "p") for seq, body in enumerate(bodies)])
    return batch.frame.sort("seq")["f.v"].to_list(), batch.rejections.sort("seq")["reasons"].to_list()


def test_values_are_converted() -> None:
    assert decoded('from_unit = "degF"\nunit = "degC"\n', 212, 32)[0] == pytest.approx([100, 0], abs=1e-13)


def test_scale_comes_before_the_unit() -> None:
    keys = 'scale = 0.1\noffset = -40\nfrom_unit = "degF"\nunit = "K"\n'
    assert decoded(keys, 720)[0] == pytest.approx([(720 * 0.1 - 40 + 459.67) * 5 / 9], rel=1e-15)


def test_bounds_hold_for_the_converted_value() -> None:
    keys = 'from_unit = "degF"\nunit = "degC"\nmin = 0\nmax = 100\n'
    values, reasons = decoded(keys, 100, 31, 213)
    assert values == pytest.approx([37.77777777777778], rel=1e-14)
    assert reasons == [["out_of_range"], ["out_of_range"]]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('from_unit = "degF"', "v.unit: say into which unit degF is converted"),
        ('from_unit = "Reaumur"\nunit = "degC"', "v.from_unit: there is no unit 'Reaumur'"),
        ('from_unit = "degF"\nunit = "widgets"', "v.unit: there is no unit 'widgets'"),
        ('from_unit = "degF"\nunit = "Pa"', "v.from_unit: 'degF' and 'Pa' do not measure the same"),
        ('from_unit = "kpa"\nunit = "bar"', "did you mean 'kPa'?"),
    ],
)
def test_faults_of_units(keys: str, words: str) -> None:
    with pytest.raises(FeedDefinitionError) as caught:
        load_feed(FEED + keys)
    assert words in str(caught.value)


def test_a_unit_that_converts_nothing_may_be_any_text() -> None:
    assert load_feed(FEED + 'unit = "widgets"').fields["v"].unit == "widgets"
