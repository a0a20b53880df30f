"""Sources through the whole house: stand-ins with faults, `tidemill serve`, and restarts in the middle of it."""

import signal
import time
from collections import Counter

import httpx
import psutil
import pytest

from tests.sources.conftest import until
from tests.sources.web import Web
from tests.support.server import Server, free_port, running_server
from tidemill.simulate import files, machines, phones
from tidemill.simulate.data_server import DataServer, DataServerOptions
from tidemill.simulate.meters import HOUSEHOLD_MUID, SOLAR_MUID, MeterServer, MetersOptions, parse_bound
from tidemill.simulate.server import running

POINTS = 600


@pytest.fixture(scope="module")
def telemetry_port():
    return free_port()


@pytest.fixture(scope="module")
def meters():
    return MeterServer(MetersOptions(end="2023-03-01T00:00:00Z", faults="500=0.05,garbage=0.03"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, telemetry_port, meters):
    (folder := tmp_path_factory.mktemp("secrets")).joinpath("token").write_text("hush-from-a-file\n")
    with running(meters) as url:
        env = {
            "TIDEMILL_SECRETS": str(folder),
            "TIDEMILL_HUSH": "hush-from-a-variable",
            "TIDEMILL_TELEMETRY_URL": f"http://127.0.0.1:{telemetry_port}/",
            "TIDEMILL_METERS_URL": f"{url}/meterdata/measurement",
        }
        with running_server(tmp_path_factory.mktemp("sources") / "data", env=env) as serving:
            yield serving


def state(server: Server, feed: str):
    items = server.client.get("/v1/sources").json()["items"]
    return [item for item in items if item["feed"] == feed]


def summary(server: Server):
    return server.client.get("/v1/rejections/summary", params={"feed": "telemetry"}).json()


def kept(server: Server):
    return server.client.get("/v1/feeds/telemetry/points", params={"limit": 100_000}).json()


def test_every_point_of_a_faulty_server_is_kept_or_rejected_once_across_restarts(server, telemetry_port):
    down = until(lambda: [s for s in state(server, "telemetry") if s["state"] == "failing"])
    assert down[0]["reason"] == "refused", "the data server is not there yet, and the state says so"
    options = DataServerOptions(count=POINTS, rate=400, faults="500=0.005,reset=0.005,garbage=0.005", seed=5)
    with running(DataServer(options), port=telemetry_port) as url:

        def tally():
            return httpx.get(f"{url}/tally?points=1", trust_env=False).json()

        until(lambda: tally()["handed_out"] > POINTS / 4, 30)
        server.part("api").send_signal(signal.SIGKILL)
        until(lambda: tally()["handed_out"] > POINTS / 2, 30)
        server.part("mill").send_signal(signal.SIGTERM)
        until(lambda: tally()["handed_out"] == POINTS, 60)
        expected = tally()
        until(lambda: len(kept(server)) == expected["kept"], 30)
        reasons = until(lambda: (s := summary(server))["total"] >= expected["rejected"] and s, 30)["by_reason"]
    mine = Counter((point["time"], point["value"]) for point in expected["points"] if not point["reasons"])
    assert Counter(point["value"] for point in kept(server)) == Counter(value for _, value in mine.elements())
    assert {code: reasons[code] for code in expected["by_reason"]} == expected["by_reason"]


def test_meters_are_read_to_the_end_and_their_state_shows_it(server, meters):
    month = {"measurement": "energy", "limit": 5000, "start": "2023-02-01", "stop": "2023-03-01", "order": "asc"}
    for muid in (HOUSEHOLD_MUID, SOLAR_MUID):
        truth = meters.records(muid, parse_bound("2023-02-01"), parse_bound("2023-03-01"), 5000)
        assert len(truth) == 28 * 96

        def same(muid=muid, truth=truth):
            return server.client.get("/meterdata/measurement", params={"muid": muid, **month}).json()["data"] == truth

        until(same, 60)
    shown = until(lambda: [s for s in state(server, "meters") if s["cursor"] and s["cursor"] > "2023-03"], 20)
    assert all(source["item"].startswith("muid=") for source in shown)


def test_simulated_clients_find_nothing_unexpected(server):
    found = [
        phones.run_phones(phones.PhonesOptions(url=server.url, count=150, verify=True)),
        files.run_files(files.FilesOptions(url=server.url, count=30)),
        machines.run_machines(machines.MachinesOptions(url=server.url, count=4, samples=500)),
    ]
    assert [one.examples for one in found] == [(), (), ()]
    assert all(one.exit_code == 0 and one.verified for one in found)


def test_secrets_of_a_source_reach_it_and_nothing_else(server):
    def answer(request):
        good = "hush-from-a-file" in request.headers.get("authorization", "")
        return (200, {}, b'{"t": "2024-01-01T00:00:00Z", "v": 1}') if good and len(web.requests) < 3 else (403, {}, b"")

    text = """
        name = "guarded"
        [time]
        path = "$.t"
        [fields.v]
        path = "$.v"
        [source]
        url = "URL"
        params = { key = "${TIDEMILL_HUSH}" }
        headers = { authorization = "Bearer ${file:FOLDER/token}" }
        every = "100ms"
        allow = ["127.0.0.0/8"]
    """
    folder = psutil.Process(server.process.pid).environ()["TIDEMILL_SECRETS"]
    with running(web := Web(answer)) as url:
        put = server.client.put("/v1/feeds/guarded", content=text.replace("URL", url).replace("FOLDER", folder))
        assert put.status_code in {200, 201}, put.text
        until(lambda: [s for s in state(server, "guarded") if s["state"] == "failing"], 20)
        assert web.requests[0].query == {"key": "hush-from-a-variable"}
        until(lambda: server.client.get("/v1/feeds/guarded/points").json())
        again = text.replace("URL", f"{url}/other").replace('"100ms"', '"${TIDEMILL_HUSH}"').replace("FOLDER", folder)
        refused = server.client.put("/v1/feeds/guarded", content=again)
        assert refused.status_code == 400
    paths = ["", "/versions", "/versions/1", "/rows", "/points"]
    told = [put.text, refused.text, *(server.client.get(f"/v1/feeds/guarded{path}").text for path in paths)]
    told += [
        server.client.get(path).text for path in ("/v1/sources", "/v1/sources/guarded/polls", "/v1/feeds", "/metrics")
    ]
    assert "guarded" in told[2] and "${TIDEMILL_HUSH}" in told[2], "the text shows the references"
    disk = [path.read_bytes().decode("latin-1") for path in server.data.rglob("catalog.sqlite*")]
    assert not [text for text in [*told, server.log.read_text(), *disk] if "hush-from" in text]


def test_items_that_answers_do_not_name_are_series_of_their_own(server):
    def answer(request):
        level = len(request.path)
        return (
            200,
            {},
            b'{"rows": [{"t": "2024-01-01T00:00:00Z", "v": %d}, {"t": "2024-01-01T00:01:00Z", "v": NaN}]}' % level,
        )

    text = """
        name = "pits"
        [input]
        records = "$.rows"
        on_fault = "reject"
        [time]
        path = "$.t"
        [tags.pit]
        value = "{pit}"
        [fields.v]
        path = "$.v"
        [source]
        url = "URL/pits/{pit}"
        each = { pit = "a,bc d" }
        every = "10s"
        allow = ["127.0.0.0/8"]
    """
    with running(Web(answer)) as url:
        untold = text.replace('[tags.pit]\n        value = "{pit}"', "").replace("URL", url)
        refused = server.client.put("/v1/feeds/pits", content=untold)
        assert refused.status_code == 400 and '[tags.pit] with value = \\"{pit}\\"' in refused.text
        assert server.client.put("/v1/feeds/pits", content=text.replace("URL", url)).status_code == 201
        items = until(
            lambda: (
                len(found := server.client.get("/v1/series", params={"feed": "pits"}).json()["items"]) == 2 and found
            )
        )
    assert sorted(item["tags"]["pit"] for item in items) == ["a", "bc d"]
    points = server.client.get("/v1/feeds/pits/points").json()
    assert sorted(point["value"] for point in points) == [7, 10], "the path came decoded"
    rejections = server.client.get("/v1/rejections", params={"feed": "pits"}).json()["items"]
    assert {one["reasons"][0] for one in rejections} == {"not_finite"}


def test_a_removed_feed_is_polled_no_more_and_stays_removed_across_restarts(server):
    web = Web(lambda request: (200, {}, b'[{"t": "2026-01-01T00:00:00Z", "v": 1}]'))
    with running(web) as url:
        text = 'name = "gone"\n[time]\npath = "$.t"\n[fields.v]\npath = "$.v"\n[source]\nevery = "100ms"\n'
        text += f'url = "{url}/"\nallow = ["127.0.0.0/8"]\n'
        assert server.client.put("/v1/feeds/gone", content=text).status_code == 201
        until(lambda: state(server, "gone") and server.client.get("/v1/series?feed=gone").json()["items"])
        assert server.client.delete("/v1/feeds/gone", params={"data": "keep"}).status_code == 200
        assert not state(server, "gone")

        def ended():
            known = len(web.requests)
            time.sleep(1)
            return len(web.requests) == known

        def serving():
            try:
                return server.client.get("/readyz").status_code == 200
            except httpx.HTTPError:
                return False

        until(ended)
        for part in ("mill", "api"):
            server.part(part).send_signal(signal.SIGKILL)
        until(serving)
        assert ended()
        names = {feed["name"] for feed in server.client.get("/v1/feeds").json()["items"]}
        assert "gone" not in names and "telemetry" in names
        assert server.client.post("/v1/feeds/gone", json={}).status_code == 410
        assert [item.get("removed") for item in server.client.get("/v1/series?feed=gone").json()["items"]] == [True]
