"""The inserts of one micro-batch: one frame a table for all feeds together, side by side where order is free.

Rows that are decided from the current points (replaced values, changes) are inserted before the points, rollups after
them. Last: the payloads.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import chain
from typing import Final

import polars as pl

from tidemill.crash_points import reach
from tidemill.mill.affected import AffectedWindows
from tidemill.mill.context import MillContext
from tidemill.mill.writes import Writes
from tidemill.store.client import BLOCK_BYTES
from tidemill.store.tables import table

_LEDGER: Final = ("series", "replaced", "changes", "submissions")
_CHUNK: Final = 10_000  # keys in one statement


def insert_all(
    context: MillContext,
    pool: Executor,
    batch: Sequence[Writes],
    *,
    rejections: Sequence[Iterable[pl.DataFrame]],
    payloads: pl.DataFrame,
    version: int,
) -> None:
    """Insert the writes of all feeds of a batch; `rejections` come in parts, each made while the part before it is
    inserted; `payloads` are inserted last. Raises StoreUnavailableError, StoreQueryError with some of it written."""
    store, status = context.store, context.status
    contests = [contest for writes in batch for contest in writes.contests]
    ledger = {name: [getattr(contest, name) for contest in contests] for name in _LEDGER}
    points = {"points": [contest.points for contest in contests]}
    with status.stage("insert"):
        if any(contest.before_points for contest in contests):
            _insert(context, pool, ledger, rejections)
            reach("mill.before_purge")
            for writes in batch:
                _purge_vacated(context, writes)
            _insert(context, pool, points)
        else:
            _insert(context, pool, ledger | points, rejections)
    reach("mill.after_points")
    with status.stage("rollups"):
        of_feeds = [[contest.windows for contest in writes.contests if contest.windows] for writes in batch]
        _run_tasks(pool, [partial(_publish, context, windows, version) for windows in of_feeds if windows])
    with status.stage("payloads"):
        store.insert("payloads", payloads)


def _purge_vacated(context: MillContext, writes: Writes) -> None:
    """Remove the points of superseded records whose winner has another instant, and the rows beneath them."""
    for contest in writes.contests:
        for part in contest.vacated.iter_slices(_CHUNK):
            if part.height:
                keys = {"series": part["series"], "times": part["time"]}
                context.store.command("mill_purge_instants", tenant=writes.tenant, **keys)


def _publish(context: MillContext, of_feed: Sequence[AffectedWindows], version: int) -> None:
    """Publish the windows of one feed in order: versions with different policies may affect the same windows."""
    for windows in of_feed:
        windows.publish(context, version)


def _insert(
    context: MillContext,
    pool: Executor,
    tables: dict[str, list[pl.DataFrame]],
    rejections: Sequence[Iterable[pl.DataFrame]] = (),
) -> None:
    frames = {name: table(name).without_null_lists(_joined(parts)) for name, parts in tables.items() if parts}
    tasks: list[Callable[[], None]] = [
        partial(context.store.insert, name, frame) for name, frame in frames.items() if not frame.is_empty()
    ]
    _run_tasks(pool, [*tasks, partial(_insert_rejections, context, rejections)])


def _insert_rejections(context: MillContext, rejections: Sequence[Iterable[pl.DataFrame]]) -> None:
    """Insert the parts, several in one INSERT up to the size of a block."""
    parts: list[pl.DataFrame] = []
    for part in chain.from_iterable(rejections):
        parts.append(part)
        if sum(part.estimated_size() for part in parts) > BLOCK_BYTES:
            context.store.insert("rejections", _joined(parts))
            parts.clear()
        context.status.turn()
    if parts:
        context.store.insert("rejections", _joined(parts))


def _run_tasks(pool: Executor, tasks: Sequence[Callable[[], None]]) -> None:
    """Run all tasks and wait for all; raises the first error once no task is running."""
    if len(tasks) == 1:
        tasks[0]()
        return
    futures = [pool.submit(task) for task in tasks]
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames)
