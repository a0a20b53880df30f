"""The commands of the page on open feeds, run on a server, store what its table lists."""

import os
import re
import subprocess
from pathlib import Path

from tests.support.api import Api

PAGE = (Path(__file__).parents[2] / "docs/how-to/open-feeds.md").read_text("utf-8")


def test_the_commands_store_the_values_of_the_table(whole: Api) -> None:
    commands = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(commands) >= 4
    for command in commands:
        environment = os.environ | {"URL": whole.url}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], check=False, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    whole.client.post("/v1/points?feed=workshop", content=b"end f=1", headers={"Prefer": "wait=30"})
    items = whole.client.get("/v1/series", params={"feed": "workshop"}).json()["items"]
    stored = {
        item["name"]: [p["value"] for p in whole.client.get(f"/v1/series/{item['id']}/points").json()["items"]]
        for item in items
    }
    table = re.search(r"\| series \| values \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    assert table is not None
    rows = [line.strip("|").split("|") for line in table[1].splitlines()]
    expected = {name.strip(): [float(value) for value in values.split()] for name, values in rows}
    assert {name: stored.get(name) for name in expected} == expected
