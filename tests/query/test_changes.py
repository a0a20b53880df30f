"""Changes are told in the order of the log, once, and only when all of their batch is applied."""

from typing import Any

import polars as pl
import pytest

from tests.query.conftest import Writer, times
from tests.query.support import START, asked
from tidemill.errors import InputError
from tidemill.model.payload import MAX_RECORDS
from tidemill.query.changes import ChangePage, Changes, ChangesQuery, key_after_payload
from tidemill.query.cursors import PROCESS_SEALS, Seals
from tidemill.store.client import Store


def write(writer: Writer, *rows: dict[str, Any]) -> None:
    given = [
        {"seq": 1, "idx": 0, "series": 7, "every_s": 0, "feed": "f", "old": 1.0, "new": 2.0, "why": "replaced"} | row
        for row in rows
    ]
    frame = pl.DataFrame(given).with_columns(
        tenant=pl.lit(writer.tenant),
        time=times([row.get("at", START) for row in rows]),
        changed_at=times([row.get("told", START) for row in rows]),
        old_count=pl.lit(1, pl.UInt64),
        new_count=pl.lit(1, pl.UInt64),
        cause_seq=pl.col("seq"),
        cause_idx=pl.col("idx"),
        replay=pl.lit(""),
        version=pl.lit(1, pl.UInt64),
    )
    writer.insert("changes", frame.drop("at", "told", strict=False))


def page(store: Store, until: int = 100, hidden: tuple[int, ...] = (), **given: str) -> ChangePage:
    return Changes(store, lambda tenant: hidden, lambda tenant: (until,)).list_changes(
        "default", asked(ChangesQuery, **given)
    )


def places(found: ChangePage) -> list[tuple[str, float | None]]:
    return [(item.window or item.time or "", item.new) for item in found.items]


def test_a_change_tells_what_when_why_and_which_payload(store: Store, writer: Writer) -> None:
    writer.payload(3, "f")
    write(writer, {"seq": 3, "idx": 2}, {"seq": 3, "idx": 2, "every_s": 900, "why": "late"})
    point, window = page(store).items
    assert (point.time, point.window, point.every) == ("2026-01-01T00:00:00Z", None, None)
    assert (window.time, window.window, window.every) == (None, "2026-01-01T00:00:00Z", "15m")
    assert (point.old, point.new, point.why, window.why) == (1.0, 2.0, "replaced", "late")
    assert (point.receipt, point.index, point.link) == ("r3", 2, "/v1/receipts/r3")
    assert point.series == f"{7:016x}"


def test_pages_follow_each_other_and_the_end_can_be_polled(store: Store, writer: Writer) -> None:
    write(writer, *({"seq": seq, "new": float(seq)} for seq in range(1, 6)))
    seen, following = [], {}
    for _ in range(4):
        found = page(store, until=5, limit="2", **following)
        seen += [item.new for item in found.items]
        following = {"cursor": found.next}
    assert seen == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert found.items == []
    write(writer, {"seq": 6, "new": 6.0}, {"seq": 5, "idx": MAX_RECORDS, "new": 5.5, "why": "replay"})
    assert [item.new for item in page(store, until=6, **following).items] == [5.5, 6.0]
    assert [item.new for item in page(store, since=page(store).items[3].id).items] == [5.0, 5.5, 6.0]


def test_a_batch_under_way_is_not_shown(store: Store, writer: Writer) -> None:
    write(writer, {"seq": 1}, {"seq": 2})
    found = page(store, until=1)
    assert len(found.items) == 1
    write(writer, {"seq": 2, "series": 3})
    assert len(page(store, until=2, cursor=found.next).items) == 2


def test_filters_narrow_and_a_deleted_series_is_hidden(store: Store, writer: Writer) -> None:
    write(writer, {"new": 1.0}, {"seq": 2, "series": 8, "new": 2.0}, {"seq": 3, "feed": "g", "new": 3.0})
    write(writer, {"seq": 4, "every_s": 60, "new": 4.0, "told": START + 5})
    assert [item.new for item in page(store, feed="g").items] == [3.0]
    assert [item.new for item in page(store, series=f"{8:016x}").items] == [2.0]
    assert [item.new for item in page(store, kind="window").items] == [4.0]
    assert [item.new for item in page(store, kind="point").items] == [1.0, 2.0, 3.0]
    assert [item.new for item in page(store, since="2026-01-01T00:00:00.000000005Z").items] == [4.0]
    assert [item.new for item in page(store, hidden=(7,)).items] == [2.0]


SEALED = PROCESS_SEALS.seal("changes", "default", 1, 2, 3, 4, 5)
STRANGE = [
    PROCESS_SEALS.seal("changes", "default", 1, 2, 3),
    PROCESS_SEALS.seal("changes", "other", 1, 2, 3, 4, 5),
    PROCESS_SEALS.seal("rejections", "default", 1, 2, 3, 4, 5),
    Seals(bytes(32)).seal("changes", "default", 1, 2, 3, 4, 5),
    ("B" if SEALED.startswith("A") else "A") + SEALED[1:],
    SEALED[:-2] + ("BA" if SEALED.endswith("AA") else "AA"),
]


@pytest.mark.parametrize(
    "given",
    [
        {"since": "soon"},
        {"cursor": "WzEsMiwzLDQsNV0"},
        *({name: text} for text in STRANGE for name in ("cursor", "since")),
    ],
)
def test_a_place_that_none_has_given_is_refused(store: Store, given: dict[str, str]) -> None:
    with pytest.raises(InputError):
        page(store, **given)


def test_now_is_behind_everything_replays_too(store: Store, writer: Writer) -> None:
    changes = Changes(store, lambda tenant: (), lambda tenant: (5,))
    assert changes.newest_keys("default") == (key_after_payload(5),)
    write(writer, {"seq": 5, "idx": MAX_RECORDS + 1, "why": "replay"})
    assert changes.newest_keys("default")[0][:2] == (5, MAX_RECORDS + 1)
    assert changes.newest_changes("default", (5,)) == ((5, MAX_RECORDS + 1),)
    assert changes.newest_changes("other", (5,)) == ((0, 0),)
