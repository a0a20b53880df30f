"""Keeps a copy of a plan in the store while it is published, for a mill that lost its disk.

A plan that is half published cannot be decided again: replaced points are merged away, and the ledger has changed. So
the files of the plan are kept in the store until all of it is published.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from tidemill.mill.replay.folder import Folder
from tidemill.store.client import Store
from tidemill.store.tables import table

_PART_BYTES: Final = 4 << 20
_INSERT_BYTES: Final = 16 << 20  # at once
_COLUMNS: Final = ("tenant", "replay", "feed", "name", "part", "content")


class PlanCopies:
    """The copies in one store. Everything raises StoreUnavailableError, StoreQueryError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, folder: Folder, tenant: str, replay: str, feed: str) -> Iterator[None]:
        """Copy the files of a plan into the store, in place of an older copy; a pause after each insert. Not whole
        before the end."""
        self.drop(tenant, replay)
        rows: list[tuple[str, str, str, str, int, bytes]] = []
        size = 0
        for name, part, content in _parts(folder.paths("plan-")):
            rows.append((tenant, replay, feed, name, part, content))
            size += len(content)
            if size >= _INSERT_BYTES:
                self._insert(rows)
                rows, size = [], 0
                yield
        self._insert(rows)
        yield

    def bring_back(self, folder: Folder, tenant: str, replay: str) -> bool:
        """Make the files of a plan again from its copy, durable on return; false if there is no copy."""
        parts = self._store.rows("replay_plan_parts", tenant=tenant, replay=replay)
        for name in dict.fromkeys(row["name"] for row in parts):
            numbers = [row["part"] for row in parts if row["name"] == name]
            folder.write_bytes(name, (self._content(tenant, replay, name, number) for number in numbers))
        return bool(parts)

    def drop(self, tenant: str, replay: str) -> None:
        """Remove the copy of a plan, if there is one; its bytes leave the disk."""
        self._store.command("replay_plan_drop", tenant=tenant, replay=replay)

    def kept(self) -> list[tuple[str, str, str]]:
        """(tenant, replay, feed) of every copy that there is, whole or not."""
        return [(row["tenant"], row["replay"], row["feed"]) for row in self._store.rows("replay_plan_replays")]

    def _content(self, tenant: str, replay: str, name: str, part: int) -> bytes:
        return self._store.raw("replay_plan_part", "RawBLOB", tenant=tenant, replay=replay, name=name, part=part)

    def _insert(self, rows: list[tuple[str, str, str, str, int, bytes]]) -> None:
        if rows:
            self._store.insert(
                "replay_plans", table("replay_plans").rows(pl.DataFrame(rows, schema=_COLUMNS, orient="row"))
            )


def _parts(paths: list[Path]) -> Iterator[tuple[str, int, bytes]]:
    """(name, number, content) of the parts of these files."""
    for path in paths:
        with path.open("rb") as file:
            number = 0
            while content := file.read(_PART_BYTES):
                yield path.name, number, content
                number += 1
