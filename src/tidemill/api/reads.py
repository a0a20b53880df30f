"""Every read route, for the application to mount."""

from typing import Any, Final

from tidemill.api import (
    changes,
    deletions,
    reads_feeds,
    reads_lineage,
    reads_meterdata,
    reads_receipts,
    reads_rejections,
    reads_series,
    replays,
)

READ_ROUTES: Final[list[Any]] = [
    *changes.CHANGE_ROUTES,
    *reads_receipts.READ_ROUTES,
    *reads_rejections.READ_ROUTES,
    *replays.REPLAY_ROUTES,
    *deletions.DELETION_ROUTES,
    *reads_series.READ_ROUTES,
    *reads_lineage.READ_ROUTES,
    *reads_feeds.READ_ROUTES,
    *reads_meterdata.READ_ROUTES,
]
