"""Time zones by IANA name, always from the pinned `tzdata` package and never from the machine: so a local time becomes
the same instant on every machine, and a replay decides as the first application did."""

import importlib.resources
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_NAME: Final = re.compile(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name such as `Europe/Zurich`, or None for an unknown name."""
    if len(name) > 64 or _NAME.fullmatch(name) is None:
        return None
    file = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        try:
            return ZoneInfo.from_file(stream, key=name)
        except ValueError:  # not a zone but a table of zones, such as zone.tab
            return None


def offset_s(where: ZoneInfo, epoch_s: int) -> int:
    """The offset of a zone from UTC, in seconds, at an instant (seconds since the epoch, UTC)."""
    offset = (_EPOCH + timedelta(seconds=epoch_s)).astimezone(where).utcoffset()
    return 0 if offset is None else offset.days * 86400 + offset.seconds
