"""Case: a million records through decode and ten rules, and the same spread over a hundred feeds."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from tests.support.payloads import RECEIVED_NS, logged

from bench.figures import Figure
from tidemill.checks.look_back import LookBack
from tidemill.decode.decoder import Decoder
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.mill.lanes import MAX_BYTES, MAX_PAYLOADS
from tidemill.model.payload import LogEntry
from tidemill.rules.apply import apply_rules
from tidemill.rules.history_lookup import LATEST, POINTS, HistoryLookup
from tidemill.rules.shape import BatchSeries

SERIES = 100
PAYLOAD = 1_000  # records
FEED = """
name = "bench"
[time]
path = "$.time"
format = "unix_ms"
[tags.site]
path = "$.site"
[tags.unit]
path = "$.unit"
[fields.power]
path = "$.power"
[fields.temperature]
path = "$.temperature"
required = false
"""
RULES = {
    "max_age": 'max_age = "1d"',
    "max_future": 'max_future = "1m"',
    "required": 'field = "temperature"',
    "range": 'field = "temperature", min = -40, max = 85',
    "one_of": 'tag = "unit", values = ["W", "kW"]',
    "pattern": "tag = \"site\", pattern = 's[0-9]+'",
    "length": 'tag = "site", max = 8',
    "expression": "holds = \"power >= 0 or tag.unit == 'kW'\"",
    "step": 'field = "power", max_change = 50',
    "stuck": 'field = "temperature", max_count = 10',
}


class Tails:
    """A past that keeps the last points of each series in memory, as a store would answer."""

    def __init__(self) -> None:
        self._last: list[pl.DataFrame] = []

    def points(
        self, tenant: str, instants: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str
    ) -> pl.DataFrame:
        """The last points of these series."""
        series = instants["series"][0]
        return next((last for last in self._last if series in last["series"]), pl.DataFrame(schema=POINTS))

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """Nothing is later."""
        return pl.DataFrame(schema=LATEST)

    def keep(self, names: BatchSeries, frame: pl.DataFrame, fields: Sequence[str]) -> None:
        """Keep the last accepted points of each series."""
        tail = frame.sort("time").group_by("identity").tail(31)
        self._last = [
            tail.with_columns(
                pl.Series("series", names.ids(tail["identity"].to_list(), [field] * tail.height), dtype=pl.UInt64),
                pl.col(f"f.{field}").alias("value"),
            )
            .select(list(POINTS))
            .sort("series", "time")
            for field in fields
        ]


class Timed(msgspec.Struct):
    """Seconds of wall and processor time by stage."""

    decode_s: float = 0.0
    rules_s: float = 0.0
    processor_s: float = 0.0
    batches: int = 0
    accepted: int = 0

    @property
    def wall_s(self) -> float:
        """Decode and rules together."""
        return self.decode_s + self.rules_s


def payloads(records: int, seed: int = 1) -> list[LogEntry]:
    """Each holds ten records of each series, a second apart, as JSON; a few in a thousand break a rule."""
    random = np.random.default_rng(seed)
    begin = RECEIVED_NS // 1_000_000 - records // SERIES * 1_000
    made = []
    power = random.normal(20, 5, SERIES)
    for number in range(records // PAYLOAD):
        body = []
        for step in range(PAYLOAD // SERIES):
            second = begin + (number * (PAYLOAD // SERIES) + step) * 1_000
            power = power + random.normal(0, 1, SERIES)
            spikes = np.where(random.random(SERIES) < 0.001, 500.0, 0.0)
            for series in range(SERIES):
                body.append(
                    {
                        "time": second,
                        "site": f"s{series}",
                        "unit": "kW",
                        "power": round(float(power[series] + spikes[series]), 3),
                        "temperature": round(float(random.normal(20, 3)), 2),
                    }
                )
        made.append(logged(number + 1, msgspec.json.encode(body), "bench"))
    return made


def batches(entries: Sequence[LogEntry]) -> list[list[LogEntry]]:
    """The entries in batches as the mill takes them from a full log."""
    batched: list[list[LogEntry]] = [[]]
    size = 0
    for entry in entries:
        if batched[-1] and (size + len(entry.payload.body) > MAX_BYTES or len(batched[-1]) >= MAX_PAYLOADS):
            batched.append([])
            size = 0
        batched[-1].append(entry)
        size += len(entry.payload.body)
    return batched


def decode_and_judge(feeds: Sequence[Feed], work: Sequence[tuple[int, list[LogEntry]]]) -> Timed:
    """Decode batches (number of the feed, entries), apply their rules, and time both."""
    decoders = [Decoder(feed) for feed in feeds]
    pasts = [Tails() for _ in feeds]
    timed = Timed(batches=len(work))
    for number, entries in work:
        feed, past = feeds[number], pasts[number]
        begun, processor = time.perf_counter(), time.process_time()
        batch = decoders[number].decode_batch(entries)
        decoded = time.perf_counter()
        checked = apply_rules(feed, batch, HistoryLookup("default", entries[0].seq, past))
        timed.rules_s += time.perf_counter() - decoded
        timed.decode_s += decoded - begun
        timed.processor_s += time.process_time() - processor
        timed.accepted += checked.frame.height
        past.keep(BatchSeries(feed, "default", batch), checked.frame, ("power", "temperature"))
    return timed


def measure_rules(folder: Path, *, quick: bool) -> list[Figure]:
    """1,000,000 JSON records of 100 series, 1,000 a payload; then the same as 100 feeds of 10,000 records."""
    records = 100_000 if quick else 1_000_000
    text = FEED + "".join(f'[[rules]]\ncheck = "{name}"\noptions = {{ {given} }}\n' for name, given in RULES.items())
    entries = payloads(records)
    feeds = [load_feed(text.replace('"bench"', f'"bench{number}"')) for number in range(100)]
    one_feed = [(0, batch) for batch in batches(entries)]
    each = len(entries) // 100
    many_feeds = [(number, entries[number * each : (number + 1) * each]) for number in range(100)]
    decode_and_judge(feeds[:1], one_feed[:1])  # imports, caches
    single, many = Timed(), Timed()
    for turn in range(3):  # in turns, and the best of each: the machine is shared
        timed = decode_and_judge(feeds, one_feed)
        single = timed if turn == 0 or timed.wall_s < single.wall_s else single
        timed = decode_and_judge(feeds, many_feeds)
        many = timed if turn == 0 or timed.wall_s < many.wall_s else many
    size = sum(len(entry.payload.body) for entry in entries)
    print(f"   {records:,} records, {size / records:.0f} bytes each, {len(RULES)} rules, {single.accepted:,} accepted")
    for name, timed in (("one feed", single), ("100 feeds", many)):
        print(
            f"   {name}: {timed.batches} batches of {records // timed.batches:,} records: "
            f"decode {timed.decode_s:.2f} s, rules {timed.rules_s:.2f} s, processor {timed.processor_s:.2f} s"
        )
    return [
        Figure("one feed, 10 rules: decode and rules", records / single.wall_s, "records/s", 300_000, at_most=False),
        Figure("decode alone", records / single.decode_s, "records/s"),
        Figure("rules alone", records / single.rules_s, "records/s"),
        Figure("100 feeds cost more than one by", 100 * (many.wall_s / single.wall_s - 1), "%", 20),
    ]
