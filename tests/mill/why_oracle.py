"""What `why` may say of an instant, read plainly from the contract: a history has payloads, deletions, replays and
expiries, and each record was accepted, rejected, deleted or is past retention. Nothing here is the product's."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

Record = dict[str, Any]
SITES, FIELDS = ("s1", "s2"), ("power", "energy")
TIMES = tuple(f"2026-01-31T1{hour}:15:00Z" for hour in range(3))
LIMITS = {1: 10, 2: 100}  # of `energy`, by version of the feed


class Sent(msgspec.Struct, eq=False):
    """A record: its place, and what became of it. `reasons` empty: accepted. `lost`: fields whose value another record
    replaced that was deleted with its payload. `deleted`: fields that a deletion took; `with_payload`: all of it went
    with its payload."""

    seq: int
    idx: int
    record: Record
    reasons: list[str] = []
    recovered: bool = False
    settled: bool = False
    expired: bool = False
    with_payload: bool = False
    deleted: set[str] = set()
    lost: set[str] = set()

    @property
    def is_fault(self) -> bool:
        return bool(set(self.reasons) & {"wrong_type", "time_invalid"})

    @property
    def time(self) -> str | None:
        return self.record["t"] if self.record["t"] in TIMES else None

    def value(self, field: str) -> float | None:
        return self.record.get(field)

    def is_alive(self, field: str) -> bool:
        return not self.with_payload and field not in self.deleted


class History:
    """A history of one feed with a policy, and what the contract says of it."""

    def __init__(self, policy: str, *, seals: bool) -> None:
        self.policy = policy
        self.seals = seals
        self.sealed: set[tuple[str, str | None]] = set()  # site and time: each time has a window of its own
        self.records: list[Sent] = []
        self.covering: list[tuple[int, str | None, str | None, str | None]] = []  # seq, site, time, field; None: any
        self.payloads_deleted = 0
        self.waits = False

    def send(self, seq: int, records: Sequence[Record], version: int) -> None:
        for idx, record in enumerate(records):
            self.records.append(Sent(seq, idx, record))
            self._judge(self.records[-1], version)

    def replay(self, version: int) -> None:
        """Every payload that is there is judged again, in the order of submission."""
        again = [sent for sent in self.records if not sent.with_payload and not sent.settled]
        before = {id(sent): list(sent.reasons) for sent in again}
        for sent in again:
            sent.reasons = ["to be judged"]
        for sent in again:
            self._judge(sent, version)
            sent.recovered |= bool(before[id(sent)]) and not sent.reasons

    def delete(self, seq: int, site: str | None, time: str | None, field: str | None) -> None:
        """The records of a site at a time (None: any), or only their values of a field."""
        self.covering.append((seq, site, time, field))
        for sent in self.records:
            if sent.record["site"] in (site, site or sent.record["site"]) and (time is None or sent.time == time):
                if sent.is_fault and (site or field):
                    continue  # of which series it would have been is not known
                if field is None or not sent.reasons:
                    sent.deleted = sent.deleted | ({field} if field else set(FIELDS))

    def delete_payload(self, seq: int) -> None:
        self.payloads_deleted += 1
        for sent in [sent for sent in self.records if sent.seq == seq]:
            if not sent.reasons and not sent.deleted:
                self._settle(sent)
            sent.with_payload = True

    def expire(self) -> None:
        for sent in self.records:
            sent.expired = sent.expired or not sent.reasons
            if self.seals and not sent.reasons and not sent.deleted and not sent.with_payload:
                self.sealed.add((sent.record["site"], sent.time))

    def _judge(self, sent: Sent, version: int) -> None:
        sent.reasons = []
        if isinstance(sent.record.get("power"), str):
            sent.reasons.append("wrong_type")
        if sent.time is None:
            sent.reasons.append("time_invalid")
        if not sent.reasons and (sent.value("energy") or 0) > LIMITS[version]:
            sent.reasons.append("too_high")
        if not sent.reasons and (sent.record["site"], sent.time) in self.sealed:
            sent.reasons.append("window_sealed")
        if not sent.reasons and self.policy == "first":
            others = (other for other in self._at(sent.record["site"], sent.time) if other is not sent)
            if not sent.deleted and any(not o.reasons and not o.deleted and not o.with_payload for o in others):
                sent.reasons.append("duplicate")

    def _settle(self, gone: Sent) -> None:
        """What a record superseded that is deleted with its payload stays superseded."""
        for other in self._at(gone.record["site"], gone.time):
            if self.policy == "first" and other.reasons == ["duplicate"]:
                other.settled = True
            elif self.policy == "last" and not other.reasons and (other.seq, other.idx) < (gone.seq, gone.idx):
                other.lost = other.lost | {field for field in FIELDS if gone.value(field) is not None}

    def _at(self, site: str, time: str | None) -> Iterator[Sent]:
        return (s for s in self.records if s.record["site"] == site and s.time == time and not s.is_fault)

    # What is so of an instant of a series.

    def alive(self, site: str, field: str, time: str) -> list[Sent]:
        return [sent for sent in self._at(site, time) if sent.is_alive(field)]

    def accepted(self, site: str, field: str, time: str) -> list[Sent]:
        return [sent for sent in self.alive(site, field, time) if not sent.reasons]

    def current(self, site: str, field: str, time: str) -> list[Sent]:
        values = [
            sent
            for sent in self.accepted(site, field, time)
            if sent.value(field) is not None and field not in sent.lost
        ]
        values = values[-1:] if self.policy == "last" else values
        return [sent for sent in values if not sent.expired]

    def states(self, site: str, field: str, time: str) -> set[str]:
        """The states that a verdict may have."""
        if self.current(site, field, time):
            return {"stands"}
        alive = self.alive(site, field, time)
        nulls = [s for s in alive if not s.reasons and s.value(field) is None]
        refused = [s for s in alive if s.reasons]
        past = [s for s in alive if not s.reasons and s.value(field) is not None and s.expired and field not in s.lost]
        newest = max((sent.seq for sent in [*nulls, *refused, *past]), default=0)
        covering = [seq for seq, *of in self.covering if _covers(of, site, time, field)]
        with_payload = any(s.with_payload or field in s.lost for s in self._at(site, time))
        may = {"received_null"} if nulls else set[str]()
        may |= {"rejected"} if refused else set()
        may |= {"expired"} if past else set()
        may |= {"deleted"} if with_payload or max(covering, default=0) > newest else set()
        if may - {"deleted"} or (may and covering):
            return may
        possible = [s for s in self.records if s.is_fault and s.time == time and s.record["site"] == site]
        if any(s.is_alive(field) for s in possible):
            return may | {"possibly_rejected"}
        return may | ({"waiting"} if self.waits else {"never_received"})

    @property
    def is_all_known(self) -> bool:
        """Whether nothing of the feed is unknown: no record without a time, no payload that was deleted by itself."""
        untimed = any(s.time is None and not s.with_payload and not s.deleted for s in self.records)
        return not untimed and not self.payloads_deleted

    def check(self, story: Any, receipts: dict[int, str], site: str, field: str, time: str) -> None:
        """Whether every sentence of a story is so, and nothing is missing in it."""
        state, sentence = story["verdict"]["state"], story["verdict"]["sentence"]
        assert state in self.states(site, field, time), (state, self.states(site, field, time), sentence)
        alive = self.alive(site, field, time)
        named = {(receipts[sent.seq], sent.idx): sent for sent in self.records}
        of = [named[receipt, int(idx)] for idx, receipt in re.findall(r"record (\d+) of payload ([\w-]+)", sentence)]
        if state == "stands":
            assert of[0] in self.current(site, field, time), sentence
            assert sentence.startswith(f"{of[0].value(field):g} stands at {time}"), sentence
            assert story["verdict"]["value"] == of[0].value(field)
        elif state == "received_null":
            assert of[0] in alive, sentence
            assert not of[0].reasons, sentence
            assert of[0].value(field) is None, sentence
        elif state == "rejected":
            refused = [sent for sent in alive if sent.reasons]
            reasons = ", ".join(sorted({reason for sent in refused for reason in sent.reasons}))
            assert f"({reasons})" in sentence, (sentence, reasons)
            assert of == refused if len(refused) == 1 else f"{len(refused)} records" in sentence
        elif state == "expired" and of:
            assert of[0].expired, sentence
            assert f" {of[0].value(field):g} came with" in sentence, sentence
        elif state == "never_received":
            assert ("was ever received" in sentence) == self.is_all_known, sentence
        self._check_events(story["events"], named, site, field, time)

    def _check_events(self, events: Any, named: dict[tuple[str, int], Sent], site: str, field: str, time: str) -> None:
        alive = self.alive(site, field, time)
        accepted, rejected = list[Sent](), list[Sent]()
        for event in events:
            facts = event["facts"]
            sent = named.get((facts.get("receipt"), facts.get("index", -1)))
            if event["event"] in ("accepted", "null_value"):
                assert sent in alive, event
                assert not sent.reasons, event
                assert facts.get("value") == sent.value(field), event
                assert (event["event"] == "null_value") == (sent.value(field) is None), event
                accepted.append(sent)
            elif event["event"] in ("rejected", "possibly_rejected") and sent is not None:
                assert sent.time == time, event
                assert event["event"] == "possibly_rejected" or sent.record["site"] == site
                assert not sent.reasons or sorted(facts["reasons"]) == sorted(sent.reasons), event
                assert sent.reasons or sent.recovered, event
                rejected.append(sent)
        known = self.accepted(site, field, time)
        if self.current(site, field, time):  # values that are past retention are looked for only where nothing stands
            known = [sent for sent in known if not sent.expired]
        assert {(s.seq, s.idx) for s in known if field not in s.lost} <= {(s.seq, s.idx) for s in accepted}
        assert len(accepted) == len({(s.seq, s.idx) for s in accepted}), "a record is accepted once"
        assert {(s.seq, s.idx) for s in alive if s.reasons} <= {(s.seq, s.idx) for s in rejected}


def _covers(of: list[str | None], site: str, time: str, field: str) -> bool:
    return all(chosen in (None, here) for chosen, here in zip(of, (site, time, field), strict=True))
