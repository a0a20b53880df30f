"""A trial says what really happens: of generated definitions and samples, and of the recipes, the verdicts of a trial
are those of the mill when the same definition is put and the same bytes are sent; and the records of the payload, read
again from the store, say the same."""

import itertools

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.decode.test_combinations import Case
from tests.mill.house import NOW_NS, House
from tests.support.rounds import rounds
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.mill.trial import TrialRecord, TriedPayload, try_payload
from tidemill.model.payload import Payload
from tidemill.query.parameters import read_query
from tidemill.query.payload_records import PayloadRecord, PayloadRecords, PayloadRecordsQuery

ALL = range(1000)
SAME = ("index", "bytes", "time", "tags", "fields", "reasons", "marks", "detail", "faults", "at_fault")
_numbers = itertools.count()

CHECKS = {
    "range": ["min = 1", "max = 2", "min = -1, max = 100"],
    "step": ["max_change = 1"],
    "monotonic": [""],
    "finite": [""],
    "required": [""],
}


class Tried(msgspec.Struct):
    """A definition and a sample, what the trial said of it, and the payload that was sent."""

    name: str
    definition: str
    sample: bytes
    trial: TriedPayload
    receipt: str


@st.composite
def samples(draw: st.DrawFn) -> tuple[str, bytes]:
    """A definition without a name, and a sample for it, in any shape and with any fault."""
    case = Case(draw)
    lines = [line for line in case.lines[True] if not line.startswith("name =")]
    names = [line.partition("fields.")[2].partition(" ")[0] for line in lines if line.startswith("fields.")]
    names += ["r1"] if case.registers else []
    rules = []
    for check in draw(st.lists(st.sampled_from(sorted(CHECKS)), max_size=3, unique=True)):
        field, options = draw(st.sampled_from(names)), draw(st.sampled_from(CHECKS[check]))
        if case.registers and check == "required":
            continue
        given_options = ", ".join(filter(None, [f'field = "{field}"', options]))
        action = draw(st.sampled_from(["reject", "flag"]))
        rules.append(f'{{ check = "{check}", action = "{action}", options = {{ {given_options} }} }}')
    sure = any(line.startswith("fields.") and "required = false" not in line for line in lines)
    policy = draw(st.sampled_from(["last", "keep", *(["first"] * 2 if sure else [])]))
    text = [f'duplicates = "{policy}"', *lines, f"rules = [{', '.join(rules)}]"]
    return "\n".join(text), case.payloads()[0]


def try_and_send(house: House, definition: str, sample: bytes, *, form: str = "json", name: str = "") -> Tried:
    name = name or f"tried{next(_numbers)}"
    text = definition if definition.startswith("#") else f'name = "{name}"\n{definition}'
    if name not in RECIPES:
        house.texts.apply(house.tenant, name, text)
        house.book.refresh()
    feed = msgspec.structs.replace(load_feed(text), version=1)
    payload = Payload("", house.tenant, name, 1, NOW_NS, form, sample, b"")
    trial = try_payload(feed, payload, ALL)
    seq = house.send(name, sample, format=form)
    (entry,) = [each for each in house.entries() if each.seq == house.offset(seq)]
    return Tried(name, text, sample, trial, entry.payload.receipt)


def compare(house: House, tried: Tried) -> None:
    """What the trial said is what the store has, and what its records are read as."""
    rows = {row["receipt"]: row for row in house.all("payloads")}
    row, trial = rows[tried.receipt], tried.trial
    assert row["state"] == "applied"
    assert (trial.accepted, trial.rejected) == (row["accepted"], row["rejected"])
    assert trial.by_reason == dict(row["reasons"])
    assert trial.total == trial.accepted + trial.rejected == len(trial.records)
    records = PayloadRecords(house.store, house.log, house.book)
    page = records.page(house.tenant, tried.receipt, read_query([("limit", "1000")], PayloadRecordsQuery))
    assert (page.total, page.no_bytes, page.next) == (trial.total, trial.no_bytes, None)
    superseded = {record.index for record in trial.records if record.replaced_by is not None}
    for record, expected in zip(page.items, trial.records, strict=True):
        compare_record(record, expected, stands=expected.index not in superseded)
    for record in page.items[:2]:
        assert record == records.record(house.tenant, tried.receipt, record.index).item


def compare_record(record: PayloadRecord, expected: TrialRecord, *, stands: bool) -> None:
    """A record as it was read from the store, and as the trial said. Marks of a point that was replaced, or of a record
    without a point, are not kept."""
    for name in SAME:
        if name != "at_fault" and (name != "marks" or record.marks):
            assert getattr(record, name) == getattr(expected, name), name
    states = {expected.verdict} if stands and record.marks else {expected.verdict, "accepted"}
    assert record.state in states | ({"accepted"} if expected.verdict == "flagged" else set())
    assert (record.winner.index if record.winner else None) == expected.winner
    for rule, told in zip(record.rules, expected.rules, strict=True):
        assert rule.verdict in (told.verdict, "not_judged"), (rule, told)
        assert (rule.number, rule.check, rule.reason, rule.action) == (
            told.number,
            told.check,
            told.reason,
            told.action,
        )
        if rule.verdict == "not_judged" and told.verdict != "not_judged":
            assert told.check in ("step", "monotonic")  # they look back


def located(tried: Tried) -> None:
    """The bytes of a record are the record, and what is at fault is in it, or around it."""
    for record in tried.trial.records:
        for mark in record.at_fault:
            assert 0 <= mark.start < mark.end <= len(tried.sample)
            assert mark.reason in {*record.reasons, *(rule.reason for rule in record.rules)}


@settings(
    max_examples=rounds(2, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.lists(samples(), min_size=6, max_size=6))
def test_a_trial_says_what_really_happens(house: House, given_samples: list[tuple[str, bytes]]) -> None:
    tried = [try_and_send(house, definition, sample) for definition, sample in given_samples]
    house.work()
    for each in tried:
        try:
            compare(house, each)
            located(each)
        except AssertionError as error:
            raise AssertionError(f"{each.definition}\n{each.sample.decode()}\n{error}") from error
