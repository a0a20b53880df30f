"""Every analysis that knows a time zone refuses a name that is none."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.analysis.made_series import hourly
from tidemill.analysis.anomalies import anomalies
from tidemill.analysis.change_points import change_points
from tidemill.analysis.comparison import compare
from tidemill.analysis.decomposition import decompose
from tidemill.analysis.description import describe
from tidemill.analysis.gaps import coverage
from tidemill.errors import InputError


@pytest.mark.parametrize("analysis", [anomalies, change_points, decompose, describe, coverage])
def test_an_unknown_time_zone_is_named(analysis: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="not 'Europe/Atlantis'") as raised:
        analysis(hourly(3), np.arange(72.0), tz="Europe/Atlantis")
    assert raised.value.faults[0].path == "tz"


def test_a_comparison_names_it_too() -> None:
    with pytest.raises(InputError, match="not 'Mars'"):
        compare(hourly(3), np.arange(72.0), hourly(3), np.arange(72.0), tz="Mars")
