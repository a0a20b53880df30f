"""`GET /v1/rules`: every reason has a rule, every rule says what it means, every example is taken."""

import pytest

from tests.api.samples import problem
from tests.support.api import Api
from tidemill.api.rules import rules_by_name
from tidemill.checks.library import BUILT_IN
from tidemill.rules.reasons import REASONS


def test_every_rule_is_listed(api: Api) -> None:
    items = api.client.get("/v1/rules").json()["items"]
    assert len({item["name"] for item in items}) == len(items)
    assert {item["name"] for item in items} >= {check.name for check in BUILT_IN}
    assert {item["reason"] for item in items} - {None} >= REASONS.keys()
    for item in items:
        assert item["meaning"].endswith((".", ".)"))
        assert item["kind"] in ("contract", "policy") or item["example"].startswith("[[rules]]")


def test_names_of_checks_are_no_codes_of_faults() -> None:
    assert all(rules_by_name()[check.name].kind == check.kind for check in BUILT_IN)


def test_one_rule_says_all_that_a_feed_needs(api: Api) -> None:
    item = api.client.get("/v1/rules/range").json()
    assert (item["kind"], item["reason"], item["actions"]) == (
        "value",
        "outside_range",
        ["reject", "flag", "refuse"],
    )
    assert item["options"][0] == {
        "name": "field",
        "type": "text",
        "required": True,
        "default": None,
        "meaning": "the number field",
    }
    assert 'check = "range"' in item["example"]


@pytest.mark.parametrize(("name", "reason"), [("first", "duplicate"), ("keep", None), ("dst_gap", "dst_gap")])
def test_policies_are_rules(api: Api, name: str, reason: str | None) -> None:
    item = api.client.get(f"/v1/rules/{name}").json()
    assert (item["kind"], item["reason"]) == ("policy", reason)


def test_a_rule_that_needs_the_past_cannot_refuse() -> None:
    history = [item for item in rules_by_name().values() if item.kind == "history"]
    assert history
    assert all("refuse" not in item.actions for item in history)


def test_an_unknown_rule_is_not_found(api: Api) -> None:
    answer = api.client.get("/v1/rules/rang")
    problem(answer, 404, "not_found")
    assert "'range'" in answer.json()["detail"]


def test_reading_rules_needs_a_key_where_keys_are_needed(keyed: Api) -> None:
    problem(keyed.client.get("/v1/rules"), 401, "unauthorized")
