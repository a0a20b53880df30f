"""One engine for these tests, one database a test, and a small writer of rows in the shapes that the mill writes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import polars as pl
import pytest

from tests.query.support import ns
from tests.support.engine import generations_of, running_engine
from tidemill.model.ids import format_series, series_id
from tidemill.store.client import Store, StoreAddress
from tidemill.store.migrate import migrate
from tidemill.store.queries import query
from tidemill.store.tables import table

WRITTEN: set[str] = set()  # tables that the test before left something in


def times(values: Sequence[int]) -> pl.Series:
    return pl.Series(values, dtype=pl.Int64).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


def ids(*series: str) -> pl.Series:
    """One list of series, as a column."""
    return pl.Series([[int(one, 16) for one in series]], dtype=pl.List(pl.UInt64))


class Writer:
    """Writes rows as the mill does; every payload's receipt is `r<seq>`."""

    def __init__(self, store: Store, tenant: str = "default") -> None:
        self.store, self.tenant = store, tenant

    def insert(self, name: str, frame: pl.DataFrame) -> None:
        WRITTEN.add(name)
        self.store.insert(name, frame)

    def write(self, name: str, height: int = 1, /, **values: Any) -> None:
        """Write rows of a table: of each column a series or a constant, else its default."""
        declared, rows = table(name), pl.DataFrame({"row": range(height)})
        self.insert(name, declared.rows(rows, **{**declared.defaults, "tenant": self.tenant, **values}))

    def series(self, feed: str, field: str, tags: Mapping[str, str] | None = None, **values: Any) -> str:
        """Write a series row; its id as text."""
        identity = series_id(self.tenant, feed, tags or {}, field)
        row = {"series": identity, "feed": feed, "field": field, "tags": _pairs(tags), "version": 1, **values}
        self.write("series", **row)
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
        offset = seq << 20 | idx
        self.write(
            "points",
            len(at),
            series=int(series, 16),
            time=times(at),
            ordinal=pl.Series(ordinals or [0] * len(at), dtype=pl.Int64),
            value=pl.Series(values, dtype=pl.Float64),
            version=-offset if first_wins else offset,
            seq=seq,
            idx=idx,
            flags=pl.Series(flags or [0] * len(at), dtype=pl.UInt8),
            received_at=_received(seq),
            attributes=_pairs(attributes),
            marks=list(marks),
        )

    def payload(self, seq: int, feed: str, body: bytes = b"{}", **facts: Any) -> str:
        receipt = f"r{seq}"
        values = {
            "receipt": receipt,
            "seq": seq,
            "feed": feed,
            "feed_version": 3,
            "received_at": _received(seq),
            "format": "json",
            "bytes": len(body),
            "sha256": sha256(body).digest(),
            "state": "applied",
            "accepted": 1,
            "body": body,
            "version": 1,
        }
        self.write("payloads", **{**values, **facts})
        return receipt

    def rejection(self, seq: int, idx: int, feed: str, reasons: list[str], **facts: Any) -> None:
        values = {
            "feed": feed,
            "seq": seq,
            "idx": idx,
            "receipt": f"r{seq}",
            "received_at": _received(seq),
            "time": ns("2026-01-01T00:00:00Z"),
            "reasons": reasons,
            "detail": "because",
            "record": '{"a": 1.50}',
            "rules_version": 3,
        }
        self.write("rejections", **{**values, **facts})

    def rollup(self, series: str, window: int, mean: float, count: int, version: int = 1, **facts: Any) -> None:
        aggregates = {"count": count, "mean": mean, "min": mean - 1, "max": mean + 1, "sum": mean * count}
        key = {"series": int(series, 16), "every_s": 60, "window": window}
        self.write("rollups", **{**key, **aggregates, "version": version, **facts})

    def replaced(self, series: str, at: int, value: float | None, *, seq: int, by_seq: int) -> None:
        key = {"series": int(series, 16), "time": at, "seq": seq}
        self.write("replaced", **key, value=value, by_seq=by_seq, received_at=_received(seq))

    def change(self, series: str, at: int, old: float | None, new: float | None, why: str, **facts: Any) -> None:
        """A published value that changed: of a point, unless `every_s` says otherwise."""
        values = {
            "seq": 9,
            "series": int(series, 16),
            "time": at,
            "feed": "any",
            "old": old,
            "new": new,
            "old_count": 1,
            "new_count": 1,
            "why": why,
            "cause_seq": 9,
            "changed_at": ns("2026-01-03T00:00:00Z"),
            "version": 1,
        }
        self.write("changes", **{**values, **facts})

    def deletion(self, seq: int, kind: str, selector: Mapping[str, Any], **facts: Any) -> None:
        at = ns("2026-01-05T00:00:00Z")
        values = {
            "id": f"d{seq}",
            "seq": seq,
            "kind": kind,
            "selector": json.dumps(selector),
            "requested_at": at,
            "applied_at": at,
            "erase_by": at,
            "version": 1,
        }
        self.write("deletions", **{**values, **facts})


def _pairs(texts: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in (texts or {}).items()]


def _received(seq: int) -> int:
    return ns("2026-01-02T03:04:05Z") + seq


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
    opened = Store(migrated, generations=generations_of(migrated))
    yield opened
    opened.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store)
