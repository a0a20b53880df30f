"""`why` never says what is not so: generated histories on the real engine, and an oracle that reads the contract
(`why_oracle.py`) says what each verdict and each sentence may be."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.mill.house import House
from tests.mill.test_nulls import why
from tests.mill.test_retention import Clocks, retention
from tests.mill.why_oracle import FIELDS, LIMITS, SITES, TIMES, History
from tests.support.rounds import rounds
from tidemill.model.deletion import Deletion
from tidemill.model.ids import format_series, series_id
from tidemill.model.time import parse_instant

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # shrinking takes an engine too long
FEED = """
name = "site"
duplicates = "{policy}"
[input]
on_fault = "reject"
[time]
path = "$.t"
format = "rfc3339"
[tags.site]
path = "$.site"
[fields.power]
path = "$.power"
required = {required}
[fields.energy]
path = "$.energy"
required = false
{retention}
[[rules]]
check = "range"
reason = "too_high"
options = {{ field = "energy", max = {limit} }}
"""
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"t": st.sampled_from([*TIMES[:2], *TIMES[:2], "some day"]), "site": st.sampled_from(SITES)},
        optional={
            "power": st.sampled_from([None, 1, 2, 3, "x"]),
            "energy": st.sampled_from([None, 4, 5, 50]),
        },
    ),
    min_size=1,
    max_size=3,
)


class Told:
    """A house and the history that it goes through."""

    def __init__(self, house: House, clocks: Clocks, policy: str, *, expires: bool) -> None:
        self.house, self.clocks, self.policy = house, clocks, policy
        self.history = History(policy, seals=expires and policy == "first")
        self.sent: dict[int, str] = {}
        self.version = 1
        kept = '[retention]\npoints = "1d"\n' if expires else ""
        kept += 'seal_rollups = true\n[rollups]\nevery = "1h"' if self.history.seals else ""
        for version in LIMITS:
            required = "true" if policy == "first" else "false"
            text = FEED.format(policy=policy, required=required, retention=kept, limit=LIMITS[version])
            house.texts.apply(house.tenant, "site", text)

    def send(self, records: list[dict[str, Any]], *, applied: bool = True) -> None:
        if self.policy == "first":
            records = [{"power": 1, **record} for record in records]
            records = [record | ({"power": 1} if record["power"] is None else {}) for record in records]
        self.clocks.wall_ns += 10**9
        seq = self.house.send("site", records, feed_version=self.version, received_ns=self.clocks.now())
        if applied:
            self.history.send(seq, records, self.version)
            self.house.work()
        else:
            self.history.waits = True

    def delete(self, site: str | None, time: str | None) -> None:
        start = None if time is None else parse_instant(time)
        end = None if start is None else start + 1
        kind = "range" if site or time else "feed"
        tags = {"site": site} if site else {}
        self._ask(Deletion(kind=kind, feed="site", tags=tags, start_ns=start, end_ns=end), site, time, None)

    def delete_series(self, site: str, field: str) -> None:
        number = series_id(self.house.tenant, "site", {"site": site}, field)
        if any(row["series"] == number for row in self.house.all("series")):
            self._ask(Deletion(kind="series", feed="site", series=format_series(number)), site, None, field)

    def delete_payload(self, number: int) -> None:
        rows = self.house.all("payloads")
        payloads = [row for row in rows if row["state"] == "applied" and row["accepted"] + row["rejected"]]
        if payloads:
            chosen = payloads[number % len(payloads)]
            self.clocks.wall_ns += 10**9
            self.house.ask(Deletion(kind="payload", feed="site", receipt=chosen["receipt"]))
            self.house.work()
            self.history.delete_payload(chosen["seq"])

    def replay(self) -> None:
        self.clocks.wall_ns += 10**9
        self.version = 2
        assert self.house.replay("site", 2).state == "done"
        self.history.replay(2)

    def expire(self) -> None:
        self.clocks.pass_days(2)
        retention(self.house, self.clocks).run_due()
        self.history.expire()

    def check(self) -> None:
        receipts = {row["seq"]: row["receipt"] for row in self.house.all("payloads")}
        asked = [(site, field, time) for site in SITES for field in FIELDS for time in TIMES[:2]]
        for site, field, time in [*asked, (SITES[0], FIELDS[0], TIMES[2]), ("s3", FIELDS[1], TIMES[0])]:
            story = why(self.house, "site", field, time, site)
            self.history.check(story, receipts, site, field, time)

    def _ask(self, deletion: Deletion, site: str | None, time: str | None, field: str | None) -> None:
        self.clocks.wall_ns += 10**9
        seq = self.house.ask(deletion)
        self.house.work()
        self.history.delete(seq, site, time, field)


def history(data: st.DataObject, told: Told, *, expires: bool) -> None:
    """Go through a history of some steps."""
    steps = ["send", "send", "send", "delete", "delete payload", "replay"]
    steps += ["delete series"] if told.policy != "first" else []
    for step in data.draw(st.lists(st.sampled_from(steps), min_size=1, max_size=5), label="steps"):
        if step == "send":
            told.send(data.draw(RECORDS, label="records"))
        elif step == "delete":
            site = data.draw(st.sampled_from([None, *SITES]), label="site")
            told.delete(site, data.draw(st.sampled_from([None, *TIMES]), label="time"))
        elif step == "delete series":
            told.delete_series(data.draw(st.sampled_from(SITES)), data.draw(st.sampled_from(FIELDS)))
        elif step == "delete payload":
            told.delete_payload(data.draw(st.integers(0, 9), label="number"))
        else:
            told.replay()
    if expires:
        told.expire()
        if data.draw(st.booleans(), label="sent after"):
            told.send(data.draw(RECORDS, label="records"))
    if data.draw(st.integers(0, 3), label="waits") == 0:
        told.send(data.draw(RECORDS, label="records"), applied=False)


@settings(max_examples=rounds(2, 200), phases=PHASES, suppress_health_check=list(HealthCheck))
@given(
    data=st.data(),
    policy=st.sampled_from(["last", "first", "keep"]),
    expires=st.booleans(),
)
def test_why_says_what_is_so(build: Callable[..., House], data: st.DataObject, policy: str, expires: bool) -> None:
    clocks = Clocks()
    told = Told(build(clock=clocks.now), clocks, policy, expires=expires)
    history(data, told, expires=expires)
    told.check()
