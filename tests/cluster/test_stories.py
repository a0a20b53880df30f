"""The stories of the five contracts, unchanged, against a cluster."""

import os

import pytest

from tests.e2e.test_dropzone import *  # noqa: F403 - its tests are run here
from tests.e2e.test_location import *  # noqa: F403
from tests.e2e.test_telemetry import *  # noqa: F403

if os.environ.get("TIDEMILL_TEST_ROUNDS") == "full":
    from tests.e2e.test_meters import *  # noqa: F403
    from tests.e2e.test_signals import *  # noqa: F403

pytestmark = pytest.mark.slow
