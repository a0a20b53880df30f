"""`tidemill import` at a real API with a mill: files become points, once, in order, also after a kill."""

import csv
import gzip
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.running import Run, runner
from tests.support.api import Api, running_api
from tidemill.client import Tidemill
from tidemill.client.files.csv_file import CsvDialect
from tidemill.client.files.csv_lines import row_blocks
from tidemill.client.files.formats import FeedTakes, file_format, read_chunks
from tidemill.client.files.inputs import InputFile
from tidemill.client.files.line_protocol import LineFaultError, parse_line
from tidemill.errors import InputError
from tidemill.log.limits import LogLimits

METERS = """name = "meters_read"
[input]
on_fault = "reject"
[time]
path = "$.time"
[tags.meter]
path = "$.meter"
[fields.kwh]
path = "$.kwh"
type = "text_number"
decimal = ","
required = false
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whole: Api, tmp_path: Path) -> Run:
    started = runner(monkeypatch, capsys, "import")
    monkeypatch.setenv("TIDEMILL_URL", whole.url)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return started


@pytest.fixture(scope="module", autouse=True)
def meters(tidemill: Tidemill) -> None:
    tidemill.apply_feed(METERS)


def values(tidemill: Tidemill, meter: str, feed: str = "meters_read") -> list[float | None]:
    return tidemill.points(feed=feed, tags={"meter": meter})["value"].to_list()


def records(meter: str, count: int, remark: str = "") -> bytes:
    rows = [{"time": f"2026-01-01T00:00:{n:02d}Z", "meter": meter, "kwh": n, "remark": remark} for n in range(count)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_a_folder_becomes_points_once(run: Run, tidemill: Tidemill, tmp_path: Path) -> None:
    folder = tmp_path / "readings"
    folder.mkdir()
    (folder / "a.csv").write_text('time;meter;kwh\n2026-01-01T00:00:00Z;a;"1,5"\n2026-01-01T01:00:00Z;a\n')
    (folder / "b.ndjson.gz").write_bytes(gzip.compress(records("b", 3)))
    (folder / "notes.txt").write_text("not of a known name")
    (folder / "c.parquet").write_bytes(b"PAR1 and then nothing")
    done = run("--feed", "meters_read", folder)
    assert done.status == 2, done.err
    assert "c.parquet: it is no whole file of Parquet" in done.err and "notes.txt" in done.err
    assert "5 records of 2 files sent in 2 payloads" in done.out and "5 accepted, 0 rejected" in done.out
    assert values(tidemill, "a") == [1.5]
    assert values(tidemill, "b") == [0, 1, 2]
    (folder / "c.parquet").unlink()
    again = run("--feed", "meters_read", folder)
    assert again.status == 0 and "0 records of 2 files sent in 0 payloads; 2 payloads were sent before" in again.out
    assert "2 records of 1 file sent in 1 payload" in run("--feed", "meters_read", folder / "a.csv", "--label", "2").out


def test_a_killed_import_goes_on_where_it_was_ended(run: Run, tidemill: Tidemill, tmp_path: Path, whole: Api) -> None:
    file = tmp_path / "long.ndjson"
    file.write_bytes(records("long", 14, remark="x" * 1_000_000))  # chunks of four records
    command = [sys.executable, "-m", "tidemill.cli", "import", "--feed", "meters_read", str(file)]
    environment = os.environ | {"TIDEMILL_CRASH_AT": "import.taken:2", "COLUMNS": "160"}
    assert subprocess.run(command, env=environment, check=False, timeout=100).returncode == -signal.SIGKILL
    before = len(receipts(whole, "meters_read"))
    done = run("--feed", "meters_read", file)
    assert done.status == 0, done.err
    assert "; 1 payloads were sent before" in done.out  # the second was taken, and not noted: its key is known
    assert values(tidemill, "long") == list(range(14))
    assert len(receipts(whole, "meters_read")) <= before + 3


def receipts(whole: Api, feed: str) -> list[str]:
    with Tidemill(whole.url) as client:
        items = client.request("GET", "/v1/receipts", {"feed": feed, "limit": 1000})["items"]
    return [item["id"] for item in items]


def test_a_refused_chunk_ends_an_import_and_nothing_behind_was_sent(
    run: Run, tidemill: Tidemill, tmp_path: Path, whole: Api
) -> None:
    tidemill.apply_feed(METERS.replace("meters_read", "strict").replace("reject", "refuse"))
    file = tmp_path / "long.ndjson"
    lines = records("strict", 14, remark="x" * 1_000_000).splitlines(keepends=True)
    lines[6] = lines[6].replace(b"2026-01-01T00:00:06Z", b"noon")
    file.write_bytes(b"".join(lines))
    done = run("--feed", "strict", file, "--wait", "30")
    assert done.status == 2
    assert "line 5 to 8 were refused, and nothing behind was sent" in done.err and "on_fault" in done.err
    assert len(receipts(whole, "strict")) == 2  # the first, and the one that was refused
    lines[6] = lines[6].replace(b"noon", b"2026-01-01T00:00:06Z")
    file.write_bytes(b"".join(lines))
    done = run("--feed", "strict", file)
    assert done.status == 0 and "; 1 payloads were sent before" in done.out, done.err
    assert values(tidemill, "strict", "strict") == list(range(14))


def test_bad_input_says_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cut.ndjson.gz").write_bytes(gzip.compress(records("cut", 3))[:-9])
    (tmp_path / "wrong.db").write_bytes(b"SQLite format 3\0 or not")
    (tmp_path / "latin.csv").write_bytes("time;meter;kwh\n2026-01-01;k\xfcche;1\n".encode("latin-1"))
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    (tmp_path / "bad.lp").write_text("cpu usage=1\ncpu usage\n")
    (tmp_path / "cut.xml").write_text('<?xml version="1.0"?><feed><entry>')
    for name, words in {
        "cut.ndjson.gz": "It ends in the middle",
        "wrong.db": "no database of Home Assistant",
        "latin.csv": "--encoding latin-1",
        "twice.csv": "a twice",
        "bad.lp": "line 2 is no line protocol",
        "cut.xml": "no whole XML",
    }.items():
        done = run("--feed", "meters_read", tmp_path / name)
        assert done.status == 2 and words in done.err, done.err
    assert "There is no file" in run("--feed", "meters_read", tmp_path / "none.csv").err
    missing = run("--feed", "nothing", tmp_path / "twice.csv")
    assert missing.status == 1 and "--dry-run --draft" in missing.err
    away = run("--feed", "meters_read", tmp_path / "twice.csv", "--url", "http://127.0.0.1:1", "--patience", "0")
    assert away.status == 1 and "Is a server running there?" in away.err
    utf8 = run("--feed", "meters_read", tmp_path / "latin.csv", "--encoding", "latin-1")
    assert utf8.status == 0, utf8.err


def test_a_server_without_room_is_asked_again_later(run: Run, tmp_path: Path) -> None:
    full = LogLimits(min_free_bytes=1 << 60, min_free_ratio=0)
    file = tmp_path / "fixes.ndjson"
    file.write_bytes(b'{"time": "2026-01-01T00:00:00Z"}\n')
    with running_api(tmp_path / "data", limits=full) as api:
        done = run("--feed", "location", file, "--url", api.url, "--patience", "0")
    assert done.status == 1 and "Run the same command again" in done.err, done.err
    assert "0 records of 0 files sent" in done.out


def test_a_dry_run_drafts_a_feed_that_takes_the_file(run: Run, tidemill: Tidemill, tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "home-assistant_v2.db")
    database.executescript(
        """create table states_meta(metadata_id integer primary key, entity_id text);
        create table state_attributes(attributes_id integer primary key, shared_attrs text);
        create table states(state_id integer primary key, metadata_id int, state text, last_updated_ts float,
        attributes_id int);
        insert into states_meta values(1, 'sensor.stove'), (2, 'light.hall');
        insert into state_attributes values(1, '{"unit_of_measurement": "°C"}');
        insert into states values(1, 1, '21.5', 1767225600.25, 1), (2, 2, 'on', 1767225601, null),
        (3, 1, 'unavailable', 1767225602, 1), (4, 1, '22', 1767225603, 1);"""
    )
    database.close()
    draft = tmp_path / "ha.toml"
    shown = run("--dry-run", "--draft", draft, tmp_path / "home-assistant_v2.db")
    assert shown.status == 0 and "3 of 3 record(s) would be stored: 2 point(s)" in shown.out, shown.err
    tidemill.apply_feed(draft.read_text())
    done = run("--feed", "home-assistant_v2", tmp_path / "home-assistant_v2.db")
    assert "3 accepted, 0 rejected" in done.out, done.err
    points = tidemill.points(feed="home-assistant_v2", tags={"entity_id": "sensor.stove"})
    assert points["value"].drop_nulls().to_list() == [21.5, 22]


def test_line_protocol_goes_into_an_open_feed_as_it_is(run: Run, tidemill: Tidemill, tmp_path: Path) -> None:
    (tmp_path / "dump.lp").write_text("# DDL\nCREATE DATABASE db\n# DML\ncpu,host=a usage=1.5 1767225600000\n")
    done = run("--feed", "hosts_import", "--precision", "ms", tmp_path / "dump.lp")
    assert done.status == 0 and "1 accepted, 0 rejected" in done.out, done.err
    (info,) = tidemill.series(feed="hosts_import")
    assert (info.field, info.tags["host"], info.first) == ("usage", "a", "2026-01-01T00:00:00Z")
    (tmp_path / "a.csv").write_text("time,usage\n2026-01-01T00:00:00Z,1\n")
    refused = run("--feed", "hosts_import", tmp_path / "a.csv")
    assert refused.status == 2 and "an open feed takes line-protocol" in refused.err


def test_a_feed_of_csv_gets_the_rows_as_they_are(run: Run, tidemill: Tidemill, tmp_path: Path) -> None:
    text = METERS.replace("meters_read", "rows").replace(
        "[time]", 'formats = ["csv"]\n[input.csv]\nseparator = ";"\n[time]'
    )
    tidemill.apply_feed(text)
    row = '2026-01-01T00:00:00Z;"two\nlines";1,5'
    (tmp_path / "rows.csv").write_text(f"time;meter;kwh\n2026-01-01T00:00:00Z;one;2,5\n{row}")
    done = run("--feed", "rows", tmp_path / "rows.csv", "--wait", "30")
    assert done.status == 0, done.err
    assert values(tidemill, "one", "rows") == [2.5]


@settings(max_examples=60)
@given(st.lists(st.text(st.sampled_from('a;\n"'), max_size=6), min_size=1, max_size=60), st.integers(1, 90))
def test_rows_are_cut_between_rows(cells: list[str], size: int) -> None:
    body = "".join('"{}";x\n'.format(cell.replace('"', '""')) for cell in cells).encode()
    blocks = list(row_blocks(io.BytesIO(body), size))
    rows = [row for block in blocks for row in csv.reader(io.StringIO(block.decode(), newline=""), delimiter=";")]
    assert b"".join(blocks) == body and rows == [[cell, "x"] for cell in cells]


def lines_of(path: Path, kind: str = "") -> list[dict[str, object]]:
    file = InputFile(path.name, path)
    chunks = list(read_chunks(file, file_format(file, kind), CsvDialect()))
    return [json.loads(line) for chunk in chunks for line in chunk.body.splitlines()]


def test_columns_and_readings_become_records(tmp_path: Path) -> None:
    frame = pl.DataFrame({"t": [1_767_225_600_000_000_001], "x": [float("nan")], "name": ["a\nb"]})
    wide = pl.DataFrame({"x": [1.5, float("inf"), None, float("-inf")], "y": [1, 2, 3, 4]})
    wide.write_parquet(tmp_path / "y.parquet")
    assert [record["x"] for record in lines_of(tmp_path / "y.parquet")] == [1.5, "Infinity", None, "-Infinity"]
    frame = frame.with_columns(pl.col("t").cast(pl.Datetime("ns", "UTC")))
    expected = [{"t": "2026-01-01T00:00:00.000000001Z", "x": None, "name": "a\nb"}]
    frame.write_parquet(tmp_path / "x.parquet")
    frame.write_ipc(tmp_path / "x.arrow")
    assert lines_of(tmp_path / "x.parquet") == lines_of(tmp_path / "x.arrow") == expected
    (tmp_path / "x.xml").write_text(
        '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:e="http://naesb.org/espi">'
        '<entry><link rel="self" href="U/1/MeterReading/1"/><link rel="related" href="R/1"/><content><e:MeterReading/>'
        '</content></entry><entry><link rel="self" href="U/1/MeterReading/1/IntervalBlock/1"/><content>'
        "<e:IntervalBlock><e:IntervalReading><e:timePeriod><e:duration>900</e:duration><e:start>1767225600</e:start>"
        "</e:timePeriod><e:value>1230</e:value></e:IntervalReading></e:IntervalBlock></content></entry>"
        '<entry><link rel="self" href="R/1"/><content><e:ReadingType><e:powerOfTenMultiplier>-3'
        "</e:powerOfTenMultiplier><e:uom>72</e:uom></e:ReadingType></content></entry></feed>"
    )
    (reading,) = lines_of(tmp_path / "x.xml")
    assert (reading["value"], reading["unit"], reading["time"], reading["duration"]) == (1.23, "Wh", 1767225600, 900)


def test_a_dump_of_influx_is_read_without_its_headings(tmp_path: Path) -> None:
    dump = "# INFLUXDB EXPORT: 1 - 2\n# DDL\nCREATE DATABASE db WITH NAME autogen\n# DML\n# CONTEXT-DATABASE:db\n"
    (tmp_path / "dump").write_text(f"{dump}cpu,host=a\\ b usage=1.5,n=7i,on=t 1767225600000000000\n")
    assert lines_of(tmp_path / "dump") == [
        {
            "measurement": "cpu",
            "tags": {"host": "a b"},
            "fields": {"usage": 1.5, "n": 7, "on": True},
            "time": 1767225600000000000,
            "database": "db",
        }
    ]


def test_a_comment_within_a_text_is_no_comment(tmp_path: Path) -> None:
    lines = b'# DDL\nCREATE DATABASE db\n# DML\nm note="a\n# b",f=1 5\n# "c\nm f=2,note="d \\"\n#\n" 6\n'
    lines += b'CREATE DATABASE x\nm a="'
    (tmp_path / "x.lp").write_bytes(lines)
    file = InputFile("x.lp", tmp_path / "x.lp")
    plain = list(read_chunks(file, "line-protocol", CsvDialect(), FeedTakes(plain_lines=True)))
    assert b"".join(chunk.body for chunk in plain) == lines.partition(b"DML\n")[2].replace(b'# "c\n', b"")
    with pytest.raises(InputError, match="line 10 is no line protocol"):
        lines_of(tmp_path / "x.lp")
    (tmp_path / "x.lp").write_bytes(lines.partition(b"CREATE DATABASE x")[0])
    assert [record["fields"] for record in lines_of(tmp_path / "x.lp")] == [
        {"note": "a\n# b", "f": 1.0},
        {"f": 2.0, "note": 'd "\n#\n'},
    ]


def test_a_text_is_not_cut_where_a_block_ends(tmp_path: Path) -> None:
    line = b'm note="' + b"x\n" * 1000 + b'",f=1\n'
    (tmp_path / "x.lp").write_bytes(line * 2500)
    file = InputFile("x.lp", tmp_path / "x.lp")
    first, second = read_chunks(file, "line-protocol", CsvDialect(), FeedTakes(plain_lines=True))
    assert first.body.endswith(b'",f=1\n') and first.body + second.body == line * 2500
    assert (first.end, second.first) == (second.start, first.body.count(b"\n") + 1)


def test_odd_members_are_said(tmp_path: Path) -> None:
    power = "<e:powerOfTenMultiplier>many</e:powerOfTenMultiplier>"
    (tmp_path / "x.xml").write_text(
        f'<?xml version="1.0"?><feed xmlns:e="x"><entry><e:ReadingType>{power}</e:ReadingType></entry></feed>'
    )
    with pytest.raises(InputError, match="powerOfTenMultiplier 'many'"):
        lines_of(tmp_path / "x.xml")
    database = sqlite3.connect(tmp_path / "x.db")
    database.executescript(
        """create table states(state_id integer primary key, entity_id, state, last_updated, attributes);
        insert into states values(1, 'a', '1', 1, '{"unit_of_measurement": "\\u12"}');"""
    )
    with pytest.raises(InputError, match="unit of a is no JSON text"):
        lines_of(tmp_path / "x.db")
    digits = "1" * 200_000
    database.execute("update states set attributes = null, state = ?", (f"{digits}x",))
    database.execute("insert into states values(2, 'a', '-1.5e3', 1, null), (3, 'a', ?, 1, null)", (digits,))
    database.commit()
    database.close()
    assert [record["state"] for record in lines_of(tmp_path / "x.db")] == ["-1.5e3"]


NAMES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters="\\#"), min_size=1)


def escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in ", =" else sign for sign in text)


@settings(max_examples=40)
@given(NAMES, st.dictionaries(NAMES, NAMES, max_size=3), st.dictionaries(NAMES, NAMES, min_size=1, max_size=3))
def test_a_line_is_read_as_it_was_written(name: str, tags: dict[str, str], fields: dict[str, str]) -> None:
    head = "".join([escaped(name), *(f",{escaped(key)}={escaped(value)}" for key, value in tags.items())])
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in fields.values())
    body = ",".join(f'{escaped(key)}="{value}"' for key, value in zip(fields, quoted, strict=True))
    assert parse_line(f"{head} {body} 5") == {"measurement": name, "tags": tags, "fields": fields, "time": 5}


@pytest.mark.parametrize("text", ["", "cpu", "cpu ", "cpu,host usage=1", "cpu usage=", "cpu usage=1 noon", "cpu x=1e"])
def test_what_is_no_line_is_said(text: str) -> None:
    with pytest.raises(LineFaultError):
        parse_line(text)
