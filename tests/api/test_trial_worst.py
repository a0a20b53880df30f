"""The worst definitions and samples that a trial may get: each ends in time, and harms nobody."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.api.test_feed_trial import GOOD_ROWS, PUMPS, row
from tests.support.api import Api, running_api
from tidemill.feeds.recipes import RECIPES


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("worst")) as running:
        yield running


DEEP = "[" * 500_000 + "]" * 500_000
WORST = {
    "deep": (RECIPES["dropzone"], DEEP),
    "no_json": (RECIPES["dropzone"], '{"data": [' + "1," * 400_000),
    "keys": (RECIPES["meters"], json.dumps({"data": [{f"k{n}": n for n in range(60_000)}]})),
    "records": (PUMPS.format(name="many", on_fault="reject", action="reject"), json.dumps([row(0, 1)] * 14_000)),
    "faults": (PUMPS.format(name="bad", on_fault="refuse", action="reject"), json.dumps([{}] * 250_000)),
    "one_record": (PUMPS.format(name="one", on_fault="reject", action="reject"), json.dumps({"x": ["y"] * 200_000})),
    "rules": (
        PUMPS.format(name="rules", on_fault="reject", action="reject")
        + "".join(f'[[rules]]\ncheck = "range"\noptions = {{ field = "bar", max = {n} }}\n' for n in range(3000)),
        json.dumps(GOOD_ROWS),
    ),
    "pattern": (
        PUMPS.format(name="pattern", on_fault="reject", action="reject")
        + '[[rules]]\ncheck = "pattern"\noptions = { tag = "pump", pattern = "((a{0,90}){0,90}){0,90}$" }\n',
        json.dumps([row(0, 1, "a" * 250)] * 3000),
    ),
    "toml": ("a = [" * 40_000, "{}"),
    "keys_of_toml": ("\n".join(f"k{n} = {n}" for n in range(15_000)), "{}"),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_ends_in_time_and_harms_nobody(api: Api, name: str) -> None:
    definition, sample = WORST[name]
    begun = time.monotonic()
    body = {"definition": definition, "sample": sample, "limit": 1000}
    answer = api.client.post("/v1/feeds/trial", json=body, timeout=60)
    assert answer.status_code in (200, 422), answer.text[:500]
    assert time.monotonic() - begun < 45
    assert len(answer.content) < 8 << 20
    assert api.client.get("/healthz").status_code == 200
