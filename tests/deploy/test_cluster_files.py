"""The files of `deploy/` for a cluster: NATS and HAProxy take theirs, and the parts reach each other as these say."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.nats import PROGRAM, needs_nats
from tidemill.log.jetstream import parse_log_address
from tidemill.parts import PARTS

DEPLOY = Path(__file__).parents[2] / "deploy"
NATS = DEPLOY / "nats.conf"


def node_checked(configuration: Path) -> subprocess.CompletedProcess[str]:
    assert PROGRAM is not None
    environment = os.environ | {"NODE_NAME": "nats-0"}
    command = [PROGRAM, "-t", "-c", str(configuration)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def services() -> dict[str, Any]:
    document = yaml.safe_load((DEPLOY / "compose.cluster.yaml").read_text())
    return dict(document["services"])


def names_of(service: dict[str, Any], name: str) -> set[str]:
    """The names by which others reach a service."""
    networks = service.get("networks", {})
    return {name, *networks.get("default", {}).get("aliases", [])}


@needs_nats
def test_nats_takes_its_configuration_and_no_misspelt_one(tmp_path: Path) -> None:
    checked = node_checked(NATS)
    assert checked.returncode == 0, checked.stderr
    misspelt = tmp_path / "nats.conf"
    misspelt.write_text(NATS.read_text().replace("sync_interval", "sync_intervall"))
    assert node_checked(misspelt).returncode != 0


def test_every_node_syncs_always_and_shows_its_monitor_to_the_apis() -> None:
    lines = [line.split("#")[0].split() for line in NATS.read_text().splitlines()]
    assert ["sync_interval:", "always"] in lines
    assert ["http:", "0.0.0.0:8222"] in lines


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed here")
def test_haproxy_takes_its_configuration() -> None:
    command = ["haproxy", "-c", "-f", str(DEPLOY / "haproxy.cluster.cfg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_compose_runs_every_part_and_one_mill() -> None:
    commands = [service["command"][0] for service in services().values() if "command" in service]
    assert {part: commands.count(part) for part in PARTS} == {"store": 1, "mill": 1, "api": 2, "worker": 1}
    assert sum(service["image"].startswith("${NATS_IMAGE") for service in services().values()) == 3


def test_every_name_that_a_part_is_told_is_that_of_a_service() -> None:
    reachable = {name: names_of(service, name) for name, service in services().items()}
    known = set().union(*reachable.values())
    log = parse_log_address(services()["api-0"]["environment"]["TIDEMILL_LOG"])
    hosts = {server.removeprefix("nats://").split(":")[0] for server in log.servers}
    assert len(hosts) == 3 and hosts <= known
    assert all(f"nats-route://{host}:6222" in NATS.read_text() for host in hosts)
    backends = {
        line.split()[2].split(":")[0]
        for line in (DEPLOY / "haproxy.cluster.cfg").read_text().splitlines()
        if line.strip().startswith("server ")
    }
    assert backends == {"api-0", "api-1"} and backends <= reachable["api-0"] | reachable["shared"]


def test_the_mill_reaches_an_api_over_loopback() -> None:
    assert services()["mill"]["network_mode"] == services()["api-1"]["network_mode"] == "service:shared"


def test_only_the_proxy_is_reached_from_outside_and_only_from_this_machine() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert list(published) == ["haproxy"]
    assert all(port.startswith("127.0.0.1:") for port in published["haproxy"])


def test_every_service_is_locked_down() -> None:
    for service in services().values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
