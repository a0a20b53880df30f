"""Alive, ready, counted; and what a browser sees."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.api.samples import fix, problem, row
from tests.support.api import Api, running_api
from tidemill.api.metrics import METRICS
from tidemill.api.problem_codes import PROBLEMS
from tidemill.feeds.recipes import RECIPES
from tidemill.log.limits import LogLimits
from tidemill.rules.reasons import REASONS


def test_alive(api: Api) -> None:
    assert api.client.get("/healthz").json() == {"status": "alive"}


def test_ready_without_a_store_which_is_shown(api: Api) -> None:
    answer = api.client.get("/readyz")
    assert answer.status_code == 200
    state = answer.json()
    assert state["ready"] and state["log"]["accepting"]
    assert state["store"]["up"] is False and state["store"]["reason"]
    assert state["mill"]["lag"] == state["log"]["last_seq"]


def test_a_full_disk_is_507_and_not_ready(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("full")
    with running_api(folder, limits=LogLimits(min_free_bytes=1 << 60)) as api:
        answer = api.client.put("/location", json=fix())
        problem(answer, 507, "disk_full")
        assert int(answer.headers["retry-after"]) > 0
        state = api.client.get("/readyz")
        assert (state.status_code, state.json()["ready"]) == (503, False)
        assert "retry-after" in state.headers
        assert "disk" in state.json()["log"]["reason"]
        influx = api.client.get("/health")
        assert (influx.status_code, influx.json()["status"]) == (503, "fail")


def test_a_clock_in_doubt_is_shown_and_stops_no_intake(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("clock")
    (folder / "log").mkdir()
    (folder / "log" / "log.clock").write_text('{"boot": "another", "offset_ns": 0, "wall_ns": 1000}')
    with running_api(folder) as api:
        state = api.client.get("/readyz")
        assert state.status_code == 200
        [reason] = state.json()["degraded"]
        assert "clock jumped" in reason and "nothing is removed by age" in reason
        assert "tidemill_clock_trusted 0" in api.client.get("/metrics").text
        assert api.client.put("/location", json=fix()).status_code == 200


def test_every_metric_is_shown_in_prometheus_form(api: Api) -> None:
    api.client.post("/v1/feeds/dropzone", json=row())
    api.client.get("/no/such/route")
    answer = api.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    for name in METRICS:
        assert f"# HELP {name} {METRICS[name][1]}" in lines
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+')
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    assert all(sample.fullmatch(line) for line in lines if not line.startswith("#"))
    assert values['tidemill_http_requests_total{route="/v1/feeds/{feed}",status="202"}'] >= 1
    assert values['tidemill_http_requests_total{route="(none)",status="404"}'] >= 1
    assert values['tidemill_intake_payloads_total{feed="dropzone",kind="data"}'] >= 1
    assert values["tidemill_log_accepting"] == 1
    bucket = values['tidemill_http_request_seconds_bucket{route="/v1/feeds/{feed}",le="+Inf"}']
    assert bucket == values['tidemill_http_request_seconds_count{route="/v1/feeds/{feed}"}']


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("img", "iframe")
        for name, value in attrs:
            if name in ("href", "src") and value and value != "data:,":
                self.links.append(value)
            if name == "id" and value:
                self.ids.add(value)


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/problems"])
def test_pages_are_self_contained_and_their_links_lead_somewhere(api: Api, path: str) -> None:
    answer = api.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = _Links()
    page.feed(answer.text)
    assert path == "/docs/problems" or page.links
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert link.startswith("/")
            assert api.client.get(link).status_code == 200, link


def test_every_code_has_its_place_on_the_page_of_codes(api: Api) -> None:
    page = _Links()
    page.feed(api.client.get("/docs/problems").text)
    assert set(PROBLEMS) <= page.ids
    assert {f"reason-{code}" for code in REASONS} <= page.ids
    listed = api.client.get("/v1/codes").json()
    assert {code["code"] for code in listed["problems"]} == set(PROBLEMS)
    assert {code["code"] for code in listed["reasons"]} == set(REASONS)


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/v1/feeds", "/readyz"])
def test_head_is_get_without_the_body(api: Api, path: str) -> None:
    answer = api.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 10


def test_feeds_are_listed_and_shown(api: Api) -> None:
    items = api.client.get("/v1/feeds").json()["items"]
    assert [item["name"] for item in items] == ["dropzone", "location", "meters", "signals", "telemetry"]
    detail = api.client.get("/v1/feeds/telemetry").json()
    assert detail["version"] == 1
    assert detail["definition"]["rules"][0]["reason"] == "too_old"
    assert "source" not in detail["definition"]
    problem(api.client.get("/v1/feeds/nope"), 404, "not_found")


def test_a_version_of_a_feed_is_shown_exactly_as_lineage_names_it(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        text = RECIPES["dropzone"].replace('"dropzone"', '"versioned"')
        api.services.texts.apply("default", "versioned", text)
        api.services.texts.apply("default", "versioned", text + "\n# changed\n")
        first = api.client.get("/v1/feeds/versioned?version=1").json()
        assert (first["version"], first["definition"]["version"], first["text"]) == (1, 1, text)
        second = api.client.get("/v1/feeds/versioned?version=2").json()
        assert (second["version"], second["text"]) == (2, text + "\n# changed\n")
        assert api.client.get("/v1/feeds/versioned").json() == second
        assert "version 3" in problem(api.client.get("/v1/feeds/versioned?version=3"), 404, "not_found")["detail"]
        for wrong in ("x", "0", "-1", "1.0", "", "9" * 30):
            document = problem(api.client.get("/v1/feeds/versioned", params={"version": wrong}), 400, "invalid")
            assert document["errors"][0]["path"] == "$query.version"
        problem(api.client.get("/v1/feeds/versioned?versoin=1"), 400, "invalid")
