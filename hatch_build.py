"""The build hook of hatchling: a wheel and a source distribution contain the built page and the guide.

An editable install does not build it: `make` does that itself, shows its progress, and goes on without.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent / "scripts"))


class PageHook(BuildHookInterface):
    """Builds `src/tidemill/ui_dist/` and `src/tidemill/guide_dist/` unless they are those of the sources."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises PageError or GuideError where one of them cannot be built."""
        import guide
        import page

        if version == "editable":
            return
        for site in (page, guide):
            if not site.is_built():
                site.build()
