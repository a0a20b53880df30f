"""Validates when a source is polled: at the interval `every`, or at the times of `cron` in the zone `tz`."""

from collections.abc import Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.durations import duration_faults
from tidemill.feeds.source import DEFAULT_EVERY, Source
from tidemill.model.zones import zone


def timetable_faults(source: Source) -> Iterator[DefinitionFault]:
    """Faults of `every`, `cron` and `tz`."""
    if source.cron is None:
        yield from duration_faults(("source", "every"), source.every or DEFAULT_EVERY)
        if source.tz != "UTC":
            yield DefinitionFault(("source", "tz"), "conflict", "a zone is of use for cron only")
        return
    if source.every is not None:
        yield DefinitionFault(("source", "cron"), "conflict", "a source has every or cron, not both")
    if zone(source.tz) is None:
        message = f"there is no zone '{source.tz[:60]}'; write it as Europe/Zurich"
        yield DefinitionFault(("source", "tz"), "unknown_zone", message)
    if (why := _cron_fault(source.cron)) is not None:
        message = f"'{source.cron[:60]}' is not a cron expression: {why}; write five fields such as '*/15 6-20 * * 1-5'"
        yield DefinitionFault(("source", "cron"), "bad_cron", message)


def _cron_fault(text: str) -> str | None:
    if len(text.split()) != 5:
        return f"{len(text.split())} fields"
    try:
        next(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return str(error)
    except StopIteration:
        return "that day never comes"
    return None
