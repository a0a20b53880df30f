"""Every way to write a value, in every shape of payload: fast and strict reader agree, and both give what a plain list
of the same records gives, with what is around them copied into each."""

import json
from typing import Any

import polars as pl
from hypothesis import given, note, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.decode.strict_only import every_part_strictly
from tests.support.payloads import logged
from tests.support.rounds import rounds
from tidemill.decode.batch import Batch, assemble_batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.plan import compile_plan
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed

ROOTS = {
    "list": 'records = "$.data"',
    "arrays": 'records = "$.data"',
    "groups": 'records = "$.groups[*].rows"',
    "keyed": 'records = "$.rows.*"',
    "single": 'records = "$.one"',
    "columns": 'columns = "$.cols"',
}
MISSING = ""
ODD = ["null", MISSING, "true", '"x"', "NaN", "[1]", "{}", '""']
INTEGERS = ["9007199254740993", "-36028797018963969", "9007199254740992"]
NUMBERS = ["1", "-2.5", "1e3", "0", "250"]
TEXTS = ['"a"', '"b:c"', '"ü"']
# For each way to write a field: what the feed says, and the members that it needs with their good values.
KINDS: dict[str, tuple[str, dict[str, list[str]]]] = {
    "plain": ("", {"path": NUMBERS + INTEGERS}),
    "scaled": ("scale = 0.5, max = 1e17", {"path": NUMBERS + INTEGERS}),
    "unit": ('unit = "kWh"', {"path": NUMBERS + INTEGERS, "unit_path": ['"Wh"', '"kWh"', '"MWh"', '"A"']}),
    "power": ("min = -1e20", {"path": NUMBERS + INTEGERS, "exponent_path": ["-1", "0", "3", "31"]}),
    "factor": ('unit = "K", from_unit = "degC"', {"path": NUMBERS, "scale_path": ["0.1", "10"]}),
    "text": ('type = "text_number", decimal = ","', {"path": ['"1,5"', "7", '"9007199254740993"', '"1.5"']}),
    "switch": ('type = "boolean", true_texts = ["on"], false_texts = ["off"]', {"path": ["true", '"on"', "0", "2"]}),
    "bytes": ('type = "uint16_be", at = 1, encoding = "hex"', {"path": ['"00ff10"', '"0102"', '"abcdef01"']}),
    "packed": ('type = "int16_le"', {"path": ['"AAE="', "[1, 2]", "[1]"]}),
    "big": ('type = "uint64_be", at = 0, encoding = "hex"', {"path": ['"0020000000000001"', '"0000000000000001"']}),
}
TIMES = {
    "iso": ('offset = "optional", zone = "UTC"', ['"2026-01-01T00:00:00Z"', '"2026-05-06T07:08:09+02:00"']),
    "local": ('zone = "Europe/Zurich", offset = "optional"', ['"2026-01-01T00:00"', '"2026-05-06T07:08:09"']),
    "epoch": ('format = "unix_s"', ["1767225600", "1767225600.25", '"1767225601"']),
}


class Case:
    """A feed in one shape, the same feed for plain records, and a payload for each."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.shape = draw(st.sampled_from(sorted(ROOTS)))
        self.registers = self.shape != "arrays" and draw(st.integers(0, 3)) == 0
        self.members: dict[str, tuple[bool, list[str], bool]] = {}  # by name: around, good values, required
        self.lines: dict[bool, list[str]] = {True: [], False: []}  # of the feed in its shape, and of plain records
        self.fields: list[str] = []  # the members of records that have values
        self.define()

    def one_of(self, *values: str) -> str:
        return self.draw(st.sampled_from(values))

    def path(self, good: list[str], around: bool, required: bool = False) -> dict[bool, str]:
        """The paths of a new member in the shape and in plain records."""
        name = f"m{len(self.members)}"
        self.members[name] = around, good, required
        index = sum(not member[0] for member in self.members.values()) - 1
        inside = f"$[{index}]" if self.shape == "arrays" else f"$.{name}"
        return {True: f"$^.{name}" if around else inside, False: f"$.{name}"}

    def add(self, key: str, options: str = "", paths: dict[str, dict[bool, str]] | None = None) -> None:
        """Add a line for each feed: a key with options and paths."""
        for shaped, lines in self.lines.items():
            given = [f'{option} = "{path[shaped]}"' for option, path in (paths or {}).items()]
            lines.append(f"{key} = {{ {', '.join([*given, *filter(None, [options])])} }}" if paths else key)

    def around(self) -> bool:
        return self.draw(st.integers(0, 2)) == 0

    def define(self) -> None:
        policy = self.one_of("reject", "flag", "round")
        self.add('name = "p"')
        for shaped, lines in self.lines.items():
            root = ROOTS[self.shape] if shaped else 'records = "$"'
            lines.append(f'input = {{ {root}, on_fault = "reject", formats = ["json"], not_exact = "{policy}" }}')
        options, good = TIMES[self.one_of(*TIMES)]
        paths = {"path": self.path(good, self.shape != "arrays" and self.around(), required=True)}
        if "format" not in options and self.draw(st.booleans()):
            paths["offset_path"] = self.path(['"+01:00"', '"-0230"', "null"], self.around())
        self.add("time", options, paths)
        if self.draw(st.booleans()):
            self.add("tags.site", "required = false", {"path": self.path(TEXTS, self.around())})
        if self.draw(st.booleans()):
            self.add("attributes.note", "max_length = 3", {"path": self.path([*TEXTS, '"long"'], self.around())})
        for number in range(0 if self.registers else self.draw(st.integers(1, 2))):
            self.add_field(f"fields.f{number}", *KINDS[self.one_of(*KINDS)])
        if self.registers:
            texts, numbers = self.one_of("flag", "attribute", "reject"), self.draw(st.booleans())
            for shaped, lines in self.lines.items():
                keys = json.dumps([name for name, member in self.members.items() if not (shaped and member[0])])
                options = f'texts = "{texts}", number_texts = {json.dumps(numbers)}, except_keys = {keys}'
                lines.append(f"registers = {{ {options} }}")

    def add_field(self, name: str, options: str, members: dict[str, list[str]]) -> None:
        required, paths = self.draw(st.booleans()), {}
        for option, values in members.items():
            paths[option] = self.path(values, self.around(), required and option == "path")
        self.fields += [path[False][2:] for path in [paths["path"]] if "^" not in path[True]]
        self.add(name, ", ".join(filter(None, [options, "" if required else "required = false"])), paths)

    def empty_items(self, records: list[dict[str, str]]) -> set[int]:
        """The numbers of the items of arrays that are no records, as the feed needs a field and they have none."""
        if not self.registers and not any(self.members[name][2] for name in self.fields):
            return set()
        names = {"r1", "r2"} if self.registers else self.fields
        return {n for n, record in enumerate(records) if all(record[name] == "null" for name in names)}

    def value(self, name: str) -> str:
        _, good, required = self.members[name]
        if self.draw(st.integers(0, 9)):
            return self.one_of(*good)
        odd = self.one_of(*(text for text in ODD if text))
        return (
            self.one_of(odd, "null") if self.shape in ("arrays", "columns") or required else self.one_of(odd, MISSING)
        )

    def values(self, *, around: bool) -> dict[str, str]:
        return {name: self.value(name) for name, member in self.members.items() if member[0] is around}

    def record(self) -> dict[str, str]:
        record = self.values(around=False)
        if self.registers:
            for name in ("r1", "r2"):
                record[name] = self.one_of("1", "2.5", "9007199254740993", "null", '"7"', '"on"', "true", MISSING)
                if self.shape == "columns" and record[name] == MISSING:
                    record[name] = "null"
        return record

    def payloads(self) -> tuple[bytes, bytes, list[dict[str, str]]]:
        """The payload in its shape, that of plain records, and these."""
        groups = []
        for _ in range(self.draw(st.integers(1, 3)) if self.shape == "groups" else 1):
            count = 1 if self.shape == "single" else self.draw(st.integers(1, 4))
            groups.append((self.values(around=True), [self.record() for _ in range(count)]))
        plain = [around | record for around, records in groups for record in records]
        return self.shaped(groups).encode(), array(map(written, plain)).encode(), plain

    def shaped(self, groups: list[tuple[dict[str, str], list[dict[str, str]]]]) -> str:
        around, records = groups[0]
        if self.shape == "groups":
            parts = [written(above | {"rows": array(map(written, rows))}) for above, rows in groups]
            return written({"groups": array(parts)})
        if self.shape == "arrays":
            return written(around | {"data": array(array(record.values()) for record in records)})
        if self.shape == "keyed":
            return written(around | {"rows": written({f"k{n}": written(item) for n, item in enumerate(records)})})
        if self.shape == "columns":
            arrays = {name: array(record[name] for record in records) for name in records[0]}
            return written({"cols": written(arrays)} | around)
        if self.shape == "single":
            return written(around | {"one": written(records[0])})
        return written({"data": array(map(written, records))} | around)


def written(members: dict[str, str]) -> str:
    parts = (f'"{name}": {value}' for name, value in members.items() if value != MISSING)
    return f"{{{', '.join(parts)}}}"


def array(items: Any) -> str:
    return f"[{', '.join(items)}]"


def told(batch: Batch) -> dict[str, Any]:
    """All that a batch says, in an order of its own."""
    tags = pl.Series("tags", [str(batch.identities["tags"][n].to_list()) for n in batch.frame["identity"]], pl.String)
    frame = batch.frame.drop("identity", "received_ns").with_columns(tags).sort("idx")
    told: dict[str, Any] = {"frame": frame, "rejections": batch.rejections.select("idx", "reasons").sort("idx")}
    for name in ("registers", "null_registers", "marks", "texts"):
        part = getattr(batch, name)
        told[name] = [] if part is None else sorted(part.rows())
    return told


def read(feed: Feed, body: bytes, *, fast: bool) -> dict[str, Any]:
    payloads = [logged(1, body, "p", "json")]
    if fast:
        return told(Decoder(feed).decode_batch(payloads))
    reading = every_part_strictly(feed).read_payloads([(body, "json")])
    return told(assemble_batch(compile_plan(feed), reading, payloads))


@settings(max_examples=rounds(60, 400), deadline=None)
@given(st.data())
def test_every_shape_gives_what_plain_records_give(data: st.DataObject) -> None:
    case = data.draw(st.composite(Case)())
    feed, plain = (load_feed("\n".join(case.lines[shaped])) for shaped in (True, False))
    body, listed, records = case.payloads()
    note("\n".join([*case.lines[True], body.decode()]))
    fast, strict, expected = read(feed, body, fast=True), read(feed, body, fast=False), read(plain, listed, fast=False)
    assert_frame_equal(fast.pop("frame"), frame := strict.pop("frame"), check_exact=True)
    assert_frame_equal(fast.pop("rejections"), rejected := strict.pop("rejections"))
    assert fast == strict
    if case.shape == "columns":
        expected = without(expected, case.empty_items(records))
        if not len(frame):  # also if what is around is at fault, which is one fault of the payload
            assert not len(expected["frame"])
            return
    wanted = expected.pop("rejections")
    assert sorted_codes(rejected) == sorted_codes(wanted)
    assert_frame_equal(frame, expected.pop("frame"), check_exact=True, check_column_order=False)
    assert strict == expected


def without(said: dict[str, Any], items: set[int]) -> dict[str, Any]:
    """What a batch says of other records than these."""
    kept = {
        name: part.filter(~pl.col("idx").is_in(list(items)))
        for name, part in said.items()
        if len(part) and not isinstance(part, list)
    }
    return (
        said
        | kept
        | {name: [row for row in part if row[1] not in items] for name, part in said.items() if isinstance(part, list)}
    )


def sorted_codes(rejections: pl.DataFrame) -> list[tuple[int, list[str]]]:
    return [(index, sorted(codes)) for index, codes in rejections.rows()]
