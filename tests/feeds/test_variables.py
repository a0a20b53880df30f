"""What a [source] sees of the environment: what the operator's setting names, and never what is ours."""

import pytest

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.feeds.variables import NEVER, visible_variables
from tidemill.settings import Runtime, Settings

ENVIRONMENT = {
    "PATH": "/usr/bin",
    "PLANT_TOKEN": "plant-token",
    "TIDEMILL_TELEMETRY_URL": "http://127.0.0.1:1/points",
    "TIDEMILL_RUNTIME": "the-secrets-between-our-processes",
    "TIDEMILL_KEY": "an-operators-key",
    "TIDEMILL_STORE_SECRET": "the-store's",
    "TIDEMILL_DATA": "/var/lib/tidemill",
}


@pytest.mark.parametrize(
    ("patterns", "seen"),
    [
        ("TIDEMILL_*", {"TIDEMILL_TELEMETRY_URL"}),
        ("PLANT_TOKEN", {"PLANT_TOKEN"}),
        (" TIDEMILL_* , PLANT_TOKEN ", {"TIDEMILL_TELEMETRY_URL", "PLANT_TOKEN"}),
        ("*", {"TIDEMILL_TELEMETRY_URL", "PLANT_TOKEN", "PATH"}),
        ("TIDEMILL_RUNTIME,TIDEMILL_KEY", set()),
        ("PLANT", set()),
        ("none", set()),
        (",", set()),
        ("", {"TIDEMILL_TELEMETRY_URL"}),
    ],
)
def test_only_what_the_setting_names_is_seen_and_never_ours(patterns, seen):
    found = visible_variables(ENVIRONMENT, patterns)
    assert set(found) == seen
    assert {name for name in ENVIRONMENT if found.get(name) is not None} == seen
    assert len(found) == len(seen)
    assert "token" not in repr(found)


def test_every_setting_and_what_the_supervisor_passes_is_ours():
    assert {f"TIDEMILL_{name.upper()}" for name in Settings.__struct_fields__} <= NEVER
    assert "TIDEMILL_RUNTIME" in NEVER
    assert {"intake_secret", "store_secret"} <= set(Runtime.__struct_fields__), "they travel in TIDEMILL_RUNTIME"


@pytest.mark.parametrize("reference", ["${PATH}", "${PATH:-x}", "${NOT_EVEN_SET:-x}"])
def test_a_fault_names_the_variable_and_the_setting_that_allows_it(reference):
    text = (
        f"name = 'plant'\n[time]\nformat = 'received'\n[fields.v]\npath = '$.v'\n[source]\nurl = 'http://x/{reference}'"
    )
    with pytest.raises(FeedDefinitionError) as error:
        load_feed(text, environment=visible_variables(ENVIRONMENT))
    [fault] = error.value.faults
    assert (fault.path, fault.code) == ("feed.toml:7: source.url", "variable_refused")
    name = reference.strip("${}").partition(":")[0]
    assert f"TIDEMILL_SOURCE_VARIABLES=TIDEMILL_*,{name}" in fault.message
    assert "/usr/bin" not in str(error.value)
    allowed = load_feed(text, environment=visible_variables(ENVIRONMENT, f"TIDEMILL_*,{name}"))
    assert allowed.source.url == f"http://x/{ENVIRONMENT.get(name, 'x')}"


@pytest.mark.parametrize("name", ["TIDEMILL_RUNTIME", "TIDEMILL_KEY", "TIDEMILL_DATA", "TIDEMILL_SECRETS"])
def test_what_is_ours_is_refused_whatever_the_setting_says(name):
    text = (
        f"name = 'plant'\n[time]\nformat = 'received'\n[fields.v]\npath = '$.v'\n[source]\nurl = 'http://x/${{{name}}}'"
    )
    with pytest.raises(FeedDefinitionError, match="never filled in"):
        load_feed(text, environment=visible_variables(ENVIRONMENT, "*"))


def test_the_recipes_read_their_variables_by_default():
    telemetry = load_feed(RECIPES["telemetry"], environment=visible_variables(ENVIRONMENT))
    assert telemetry.source.url == "http://127.0.0.1:1/points"
    meters = load_feed(RECIPES["meters"], environment=visible_variables({}))
    assert meters.source is None, "nothing is configured, nothing is polled"


@pytest.mark.parametrize("setting", ["PLANT_TOKEN", "none", "acme=TIDEMILL_TELEMETRY_URL,TIDEMILL_METERS_*", "*"])
@pytest.mark.parametrize("recipe", ["telemetry", "meters"])
def test_a_recipe_that_nobody_configured_polls_nothing_whatever_the_setting_names(recipe, setting):
    assert load_feed(RECIPES[recipe], environment=visible_variables({}, setting, closed=True)).source is None


def test_a_recipe_that_is_configured_beside_a_setting_that_leaves_its_variable_out_is_a_fault():
    with pytest.raises(FeedDefinitionError, match="SOURCE_VARIABLES=PLANT_TOKEN,TIDEMILL_TELEMETRY_URL"):
        load_feed(RECIPES["telemetry"], environment=visible_variables(ENVIRONMENT, "PLANT_TOKEN"))
    with pytest.raises(FeedDefinitionError, match="not bound to the tenant 'bravo'"):
        load_feed(RECIPES["telemetry"], environment=visible_variables({}, "PLANT_TOKEN", "bravo"))
