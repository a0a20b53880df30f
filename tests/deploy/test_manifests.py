"""The files of `deploy/` are what their tools take, and speak of metrics, settings and alerts that exist."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tidemill.api.metrics import METRICS
from tidemill.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus/alerts.yaml"
SINGLE = DEPLOY / "k8s/single"
CLUSTER_COMPOSE = DEPLOY / "compose.cluster.yaml"
SUFFIXES = ("_bucket", "_sum", "_count")


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def known(name: str) -> bool:
    return name in METRICS or any(name.removesuffix(suffix) in METRICS for suffix in SUFFIXES)


@pytest.mark.parametrize("path", sorted(SINGLE.glob("*.yaml")), ids=lambda path: path.name)
@pytest.mark.parametrize("version", ["1.28", "1.34"])
def test_kubernetes_takes_the_manifests(path: Path, version: str) -> None:
    for document in documents(path):
        if document["kind"] != "Kustomization":
            kubernetes_validate.validate(document, version, strict=True)


def test_a_manifest_with_a_misspelt_member_is_refused() -> None:
    (document,) = documents(SINGLE / "statefulset.yaml")
    document["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.34", strict=True)


def test_every_manifest_is_applied() -> None:
    (listed,) = documents(SINGLE / "kustomization.yaml")
    assert sorted([*listed["resources"], "kustomization.yaml"]) == sorted(path.name for path in SINGLE.iterdir())


def test_every_pod_is_locked_down() -> None:
    (document,) = documents(SINGLE / "statefulset.yaml")
    pod = document["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    for container in (*pod["containers"], *pod["initContainers"]):
        locked = container["securityContext"]
        assert locked["readOnlyRootFilesystem"] and locked["capabilities"]["drop"] == ["ALL"]
        assert locked["allowPrivilegeEscalation"] is False


def schema_faults(schema: str, *paths: Path) -> str:
    """What check-jsonschema says against files; "" for nothing."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_compose_takes_its_files() -> None:
    assert schema_faults("vendor.compose-spec", DEPLOY / "compose.yaml", CLUSTER_COMPOSE) == ""


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_are_what_their_runner_takes_and_pin_every_action(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (workflow,) = documents(path)
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    for step in [step for step in steps if "uses" in step]:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
        assert "checkout" not in step["uses"] or step["with"]["persist-credentials"] is False
    assert not [step for step in steps if "${{" in step.get("run", "")], "what is put into a script is a variable of it"


def test_every_setting_exists() -> None:
    variables = {f"TIDEMILL_{name.upper()}" for name in Settings.__struct_fields__}
    places = (ROOT / "Dockerfile", *DEPLOY.glob("*.*"), *DEPLOY.glob("k8s/**/*.yaml"))
    named = {name for path in places for name in re.findall(r"TIDEMILL_[A-Z_]+", path.read_text())}
    assert named - variables == {"TIDEMILL_KEY", "TIDEMILL_IMAGE", "TIDEMILL_PORT", "TIDEMILL_STORE_PASSWORD"}


def test_alerts_and_dashboard_ask_for_metrics_that_exist() -> None:
    (rules,) = documents(ALERTS)
    board = json.loads((DEPLOY / "grafana/tidemill.json").read_text())
    asked_for = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked_for += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = {name for expression in asked_for for name in re.findall(r"\btidemill_\w+", expression)}
    assert len(names) > 15
    assert [name for name in sorted(names) if not known(name)] == []


def test_the_guide_says_what_to_do_at_each_alert() -> None:
    (rules,) = documents(ALERTS)
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    guide = (ROOT / "docs/how-to/deploy.md").read_text()
    assert set(re.findall(r"^\| `(Tidemill\w+)` \|", guide, re.MULTILINE)) == alerts


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")
def test_prometheus_takes_its_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_has_no_setting_of_a_build_machine() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"pip\.conf|index-url|PIP_(?!ARGS)|https?://", text)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*", "all that is not named stays outside"
