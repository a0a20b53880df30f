"""One engine for these tests, one database a test, and a small writer of rows in the shapes that the mill writes."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
import polars as pl
import pytest
from tests.support.engine import running_engine

from tidemill.model.ids import format_series, series_id
from tidemill.model.time import parse_instant
from tidemill.query.parameters import Parameter, read
from tidemill.store.client import Store, StoreAddress
from tidemill.store.migrate import migrate

KEY_VALUE = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))


def ns(text: str) -> int:
    return parse_instant(text)


def asked(known: Sequence[Parameter], **given: str) -> dict[str, Any]:
    return read([(name.replace("__", "."), text) for name, text in given.items()], known)


def times(values: Sequence[int]) -> pl.Series:
    return pl.Series(values, dtype=pl.Int64).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


class Writer:
    """Writes rows as the mill does; every payload's receipt is `r<seq>`."""

    def __init__(self, store: Store, tenant: str = "default") -> None:
        self.store, self.tenant = store, tenant

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
        self.store.insert("series", pl.DataFrame(row))
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
    ) -> None:
        place = seq << 20 | idx
        count = len(at)
        self.store.insert(
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
                    "flags": pl.Series([0] * count, dtype=pl.UInt8),
                    "received_at": times([ns("2026-01-02T03:04:05Z") + seq] * count),
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
        self.store.insert("payloads", frame)
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
        self.store.insert("rejections", frame)

    def rollup(self, series: str, window: int, mean: float, count: int, version: int = 1) -> None:
        self.store.insert(
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
            ),
        )

    def replaced(self, series: str, at: int, value: float | None, *, seq: int, by_seq: int) -> None:
        self.store.insert(
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


@pytest.fixture(scope="session")
def engine_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAddress]:
    with running_engine(tmp_path_factory.mktemp("query") / "engine") as address:
        yield address


@pytest.fixture
def store(engine_address: StoreAddress) -> Iterator[Store]:
    """A store of the test's own, with the schema."""
    address = msgspec.structs.replace(engine_address, database=f"test_{secrets.token_hex(4)}")
    migrate(address)
    opened = Store(address)
    yield opened
    opened.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store)
