"""One engine for these tests, one database a test, and a small writer of rows in the shapes that the mill writes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import polars as pl
import pytest

from tests.query.support import ns
from tests.support.engine import running_engine
from tidemill.model.ids import format_series, series_id
from tidemill.store.client import Store, StoreAddress
from tidemill.store.migrate import migrate
from tidemill.store.queries import query

WRITTEN: set[str] = set()  # tables that the test before left something in
KEY_VALUE = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))


def times(values: Sequence[int]) -> pl.Series:
    return pl.Series(values, dtype=pl.Int64).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


def ids(*series: str) -> pl.Series:
    """One list of series, as a column."""
    return pl.Series([[int(one, 16) for one in series]], dtype=pl.List(pl.UInt64))


class Writer:
    """Writes rows as the mill does; every payload's receipt is `r<seq>`."""

    def __init__(self, store: Store, tenant: str = "default") -> None:
        self.store, self.tenant = store, tenant

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        WRITTEN.add(table)
        self.store.insert(table, frame)

    def series(
        self,
        feed: str,
        field: str,
        tags: Mapping[str, str] | None = None,
        *,
        name: str = "",
        unit: str = "",
        deleted_seq: int = 0,
        deleted: bool = False,
        version: int = 1,
    ) -> str:
        """Write a series row; its id as text."""
        identity = series_id(self.tenant, feed, tags or {}, field)
        row = {
            "tenant": [self.tenant],
            "series": pl.Series([identity], dtype=pl.UInt64),
            "feed": [feed],
            "name": [name],
            "field": [field],
            "tags": pl.Series([[{"key": k, "value": v} for k, v in (tags or {}).items()]], dtype=KEY_VALUE),
            "unit": [unit],
            "description": [""],
            "deleted_seq": pl.Series([deleted_seq], dtype=pl.UInt64),
            "deleted": [deleted],
            "created_at": times([0]),
            "version": pl.Series([version], dtype=pl.UInt64),
        }
        self.insert("series", pl.DataFrame(row))
        return format_series(identity)

    def points(
        self,
        series: str,
        at: Sequence[int],
        values: Sequence[float | None],
        *,
        seq: int = 1,
        idx: int = 0,
        ordinals: Sequence[int] | None = None,
        first_wins: bool = False,
        flags: Sequence[int] | None = None,
        marks: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        place = seq << 20 | idx
        count = len(at)
        pairs = [{"key": k, "value": v} for k, v in (attributes or {}).items()]
        self.insert(
            "points",
            pl.DataFrame(
                {
                    "tenant": [self.tenant] * count,
                    "series": pl.Series([int(series, 16)] * count, dtype=pl.UInt64),
                    "time": times(at),
                    "ordinal": pl.Series(ordinals or [0] * count, dtype=pl.Int64),
                    "value": pl.Series(values, dtype=pl.Float64),
                    "version": pl.Series([-place if first_wins else place] * count, dtype=pl.Int64),
                    "seq": pl.Series([seq] * count, dtype=pl.UInt64),
                    "idx": pl.Series([idx] * count, dtype=pl.UInt32),
                    "flags": pl.Series(flags or [0] * count, dtype=pl.UInt8),
                    "received_at": times([ns("2026-01-02T03:04:05Z") + seq] * count),
                    "attributes": pl.Series([pairs] * count, dtype=KEY_VALUE),
                    "marks": pl.Series([list(marks)] * count, dtype=pl.List(pl.String)),
                }
            ),
        )

    def payload(self, seq: int, feed: str, body: bytes = b"{}", **facts: Any) -> str:
        receipt = f"r{seq}"
        values = {
            "tenant": self.tenant,
            "receipt": receipt,
            "seq": seq,
            "feed": feed,
            "feed_version": 3,
            "received_at": times([ns("2026-01-02T03:04:05Z") + seq]),
            "format": "json",
            "bytes": len(body),
            "sha256": sha256(body).digest(),
            "state": "applied",
            "accepted": 1,
            "rejected": 0,
            "faults": "",
            "body": body,
            "version": 1,
            **facts,
        }
        frame = pl.DataFrame({k: v if isinstance(v, pl.Series) else [v] for k, v in values.items()})
        self.insert("payloads", frame)
        return receipt

    def rejection(self, seq: int, idx: int, feed: str, reasons: list[str], **facts: Any) -> None:
        values = {
            "tenant": self.tenant,
            "feed": feed,
            "seq": seq,
            "idx": idx,
            "receipt": f"r{seq}",
            "received_at": times([ns("2026-01-02T03:04:05Z") + seq]),
            "time": times([ns("2026-01-01T00:00:00Z")]),
            "reasons": [reasons],
            "detail": "because",
            "record": '{"a": 1.50}',
            "rules_version": 3,
            "winner_seq": 0,
            "winner_idx": 0,
            **facts,
        }
        frame = pl.DataFrame({k: v if isinstance(v, pl.Series | list) else [v] for k, v in values.items()})
        self.insert("rejections", frame)

    def rollup(self, series: str, window: int, mean: float, count: int, version: int = 1, **facts: Any) -> None:
        self.insert(
            "rollups",
            pl.DataFrame(
                {
                    "tenant": [self.tenant],
                    "series": pl.Series([int(series, 16)], dtype=pl.UInt64),
                    "every_s": pl.Series([60], dtype=pl.UInt32),
                    "window": times([window]),
                    "count": pl.Series([count], dtype=pl.UInt64),
                    "mean": [mean],
                    "min": [mean - 1],
                    "max": [mean + 1],
                    "sum": [mean * count],
                    "sealed": [False],
                    "version": pl.Series([version], dtype=pl.UInt64),
                }
            ).with_columns(**facts),
        )

    def replaced(self, series: str, at: int, value: float | None, *, seq: int, by_seq: int) -> None:
        self.insert(
            "replaced",
            pl.DataFrame(
                {
                    "tenant": [self.tenant],
                    "series": pl.Series([int(series, 16)], dtype=pl.UInt64),
                    "time": times([at]),
                    "seq": pl.Series([seq], dtype=pl.UInt64),
                    "idx": pl.Series([0], dtype=pl.UInt32),
                    "value": pl.Series([value], dtype=pl.Float64),
                    "by_seq": pl.Series([by_seq], dtype=pl.UInt64),
                    "by_idx": pl.Series([0], dtype=pl.UInt32),
                    "received_at": times([ns("2026-01-02T03:04:05Z") + seq]),
                }
            ),
        )

    def change(
        self, series: str, at: int, old: float | None, new: float | None, why: str, **facts: pl.Series | pl.Expr
    ) -> None:
        """A published value that changed: of a point, unless `every_s` says otherwise."""
        row = {
            "tenant": [self.tenant],
            "seq": pl.Series([9], dtype=pl.UInt64),
            "idx": pl.Series([0], dtype=pl.UInt32),
            "series": pl.Series([int(series, 16)], dtype=pl.UInt64),
            "every_s": pl.Series([0], dtype=pl.UInt32),
            "time": times([at]),
            "feed": ["any"],
            "old": pl.Series([old], dtype=pl.Float64),
            "new": pl.Series([new], dtype=pl.Float64),
            "old_count": pl.Series([1], dtype=pl.UInt64),
            "new_count": pl.Series([1], dtype=pl.UInt64),
            "why": [why],
            "cause_seq": pl.Series([9], dtype=pl.UInt64),
            "cause_idx": pl.Series([0], dtype=pl.UInt32),
            "replay": [""],
            "changed_at": times([ns("2026-01-03T00:00:00Z")]),
            "version": pl.Series([1], dtype=pl.UInt64),
        }
        self.insert("changes", pl.DataFrame(row).with_columns(**facts))

    def deletion(self, seq: int, kind: str, selector: Mapping[str, Any], **facts: Any) -> None:
        at = times([ns("2026-01-05T00:00:00Z")])
        values = {
            "tenant": self.tenant,
            "id": f"d{seq}",
            "seq": seq,
            "kind": kind,
            "selector": json.dumps(selector),
            "requested_at": at,
            "applied_at": at,
            "erase_by": at,
            "points": 0,
            "records": 0,
            "payloads": 0,
            "version": 1,
            **facts,
        }
        frame = pl.DataFrame({k: v if isinstance(v, pl.Series) else [v] for k, v in values.items()})
        self.insert("deletions", frame)


EMPTY = {"empty": query("empty", "TRUNCATE TABLE {table:Identifier}")}


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    """An engine of this session's own with the schema in it."""
    with running_engine(tmp_path_factory.mktemp("query") / "engine", database="queries") as address:
        migrate(address)
        yield address


@pytest.fixture
def store(migrated: StoreAddress) -> Iterator[Store]:
    """A store whose tables are empty. Emptying costs 10 ms where a new schema would cost 500."""
    emptier = Store(migrated, queries=EMPTY)
    while WRITTEN:
        emptier.command("empty", table=WRITTEN.pop())
    emptier.close()
    opened = Store(migrated)
    yield opened
    opened.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store)
