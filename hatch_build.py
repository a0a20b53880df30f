"""The build hook of hatchling: a wheel and a source distribution contain the built page, and
the guide where `make guide` built it.

An editable install does not build it: `make` does that itself, shows its progress, and goes on without.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent / "scripts"))


class PageHook(BuildHookInterface):
    """Builds `src/tidemill/ui_dist/` unless it is that of the sources."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises PageError where the page cannot be built."""
        import page

        if version != "editable" and not page.is_built():
            page.build()
