"""Settings: what follows from them, and what a wrong one says."""

import itertools
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import StartupError
from tidemill.feeds.variables import visible_variables
from tidemill.settings import load_settings, variables_by_tenant


@pytest.mark.parametrize(
    ("listen", "source_allow", "networks"),
    [
        ("127.0.0.1:8080", "", "127.0.0.0/8,::1/128"),
        ("localhost:8080", "", "127.0.0.0/8,::1/128"),
        ("[::1]:8080", "", "127.0.0.0/8,::1/128"),
        ("0.0.0.0:8080", "", ""),
        ("[::]:8080", "", ""),
        ("tidemill.example.org:8080", "", ""),
        ("127.0.0.1:8080", "none", ""),
        ("127.0.0.1:8080", "10.1.0.0/16", "10.1.0.0/16"),
        ("0.0.0.0:8080", "127.0.0.0/8, 10.1.0.0/16", "127.0.0.0/8, 10.1.0.0/16"),
    ],
)
def test_sources_reach_loopback_only_when_the_server_is_there_or_somebody_says_so(listen, source_allow, networks):
    settings = load_settings({"listen": listen}, {"TIDEMILL_SOURCE_ALLOW": source_allow})
    assert settings.source_networks(closed=False) == networks
    assert settings.source_networks(closed=True) == (networks if source_allow else "")


@pytest.mark.parametrize("text", ["10.1.2.3/16", "localhost", "10.0.0.0/8 ::1/128", "none,10.0.0.0/8", "10.0.0.0/40"])
def test_networks_that_are_none_stop_the_start_and_name_the_setting(text):
    with pytest.raises(StartupError, match=r"TIDEMILL_SOURCE_ALLOW must be networks such as 10\.1\.0\.0/16"):
        load_settings({}, {"TIDEMILL_SOURCE_ALLOW": text})


@pytest.mark.parametrize("text", ["TIDEMILL_*", "*", "none", "PLANT_TOKEN, TIDEMILL_*", "A; acme = B, C* ;b-2=none"])
def test_names_of_variables_may_end_with_a_star(text):
    assert load_settings({}, {"TIDEMILL_SOURCE_VARIABLES": text}).source_variables == text


@pytest.mark.parametrize(
    "text", ["A*B", "PLANT TOKEN", "${PLANT}", "1A", "acme=A*B", "Acme=A", "acme==A", "a_b=A", "../x=A"]
)
def test_what_is_no_name_of_a_variable_stops_the_start(text):
    with pytest.raises(StartupError, match="TIDEMILL_SOURCE_VARIABLES must be names"):
        load_settings({}, {"TIDEMILL_SOURCE_VARIABLES": text})


@pytest.mark.parametrize("text", ["", "mill.example.org", "*.example.org, 192.0.2.7,[2001:db8::1]", "_a.b-c,localhost"])
def test_names_and_addresses_of_the_server_are_taken(text):
    assert load_settings({}, {"TIDEMILL_HOSTS": text}).hosts == text


@pytest.mark.parametrize("text", ["*", "a.example:8080", "https://a.example", "a.*.example", "a b", "a..b", "::1/128"])
def test_what_is_no_name_of_a_server_stops_the_start(text):
    with pytest.raises(StartupError, match="TIDEMILL_HOSTS must be names or addresses without a port"):
        load_settings({}, {"TIDEMILL_HOSTS": text})


def test_a_confirmed_clock_is_an_instant():
    assert load_settings({}, {}).clock_confirmed_ns == 0
    assert load_settings({}, {"TIDEMILL_CLOCK_CONFIRMED": "1970-01-01T01:00:01+01:00"}).clock_confirmed_ns == 10**9


@pytest.mark.parametrize("text", ["now", "yes", "2026-01-31T12:00:00", "99999-01-01T00:00:00Z"])
def test_what_is_no_instant_stops_the_start_and_names_the_setting(text):
    with pytest.raises(StartupError, match="TIDEMILL_CLOCK_CONFIRMED must be a time such as"):
        load_settings({}, {"TIDEMILL_CLOCK_CONFIRMED": text})


@pytest.mark.parametrize(
    "text",
    [
        "acme=ACME_*;acme-2=ACME_2_*",
        "acme=ACME_2_TOKEN;acme-2=ACME_2_*",
        "acme=TOKEN;bravo=TOKEN",
        "TIDEMILL_*;acme=TIDEMILL_ACME_*",
        "*;acme=A",
        "acme=A;default=B;bravo=*",
    ],
)
def test_a_variable_that_would_be_two_tenants_stops_the_start(text):
    with pytest.raises(StartupError, match="gives what is one tenant's to another"):
        load_settings({}, {"TIDEMILL_SOURCE_VARIABLES": text})


def test_a_tenant_is_named_once():
    with pytest.raises(StartupError, match="speaks of the tenant 'default' twice"):
        load_settings({}, {"TIDEMILL_SOURCE_VARIABLES": "A;default=B"})


NAMES = st.from_regex(r"[AB_]{1,3}\*?", fullmatch=True)


@given(st.dictionaries(st.sampled_from(["default", "a", "a-2", "b"]), st.lists(NAMES, max_size=3), max_size=3))
def test_no_variable_is_ever_seen_by_two_tenants(bound):
    text = ";".join(f"{tenant}={','.join(names) or 'none'}" for tenant, names in bound.items())
    environment = {"".join(letters): "x" for n in range(1, 5) for letters in itertools.product("AB_", repeat=n)}
    seen = {tenant: {n for n in environment for p in names if fnmatchcase(n, p)} for tenant, names in bound.items()}
    overlap = any(seen[one] & seen[other] for one, other in itertools.combinations(seen, 2))
    if overlap:
        with pytest.raises(StartupError, match="one tenant's to another"):
            variables_by_tenant(text)
        return
    for tenant in ("default", "a", "a-2", "b", "never-named"):
        for closed in (True, False):
            found = set(visible_variables(environment, text, tenant, closed=closed))
            assert found == seen.get(tenant, set()), "TIDEMILL_ names are not among these"
