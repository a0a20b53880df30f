"""Which secrets a tenant's feeds may hold: its own variables and files, whatever is tried to reach those of others."""

import pytest

from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.feeds.variables import AS_WRITTEN, TenantScopes
from tidemill.settings import Settings

FEED = "name = 'plant'\n[time]\nformat = 'received'\n[fields.v]\npath = '$.v'\n[source]\nurl = 'http://x/'\n"
ENVIRONMENT = {
    "ACME_TOKEN": "hush-acme",
    "TIDEMILL_ACME_TOKEN": "hush-acme",
    "BRAVO_TOKEN": "bravos-own",
    "TIDEMILL_PLANT": "hush-default",
    "TIDEMILL_TELEMETRY_URL": "http://data",
}


@pytest.fixture
def pool(tmp_path):
    """/run/secrets: a file of nobody's, and folders of acme, acme-2, bravo and default."""
    (pool := tmp_path / "run" / "secrets").mkdir(parents=True)
    (pool / "nobodys").write_text("hush-nobody")
    for tenant in ("acme", "acme-2", "bravo", "default"):
        (pool / tenant).mkdir()
        (pool / tenant / "token").write_text(f"hush-{tenant}" if tenant != "bravo" else "bravos-own")
    (pool / "bravo" / "link").symlink_to(pool / "acme" / "token")
    (pool / "bravo" / "folder").symlink_to(pool / "acme")
    (pool / "bravo" / "loop").symlink_to(pool / "bravo" / "loop")
    (pool / "bravo" / "to-own").symlink_to("token")
    return pool


def filled(reference, pool, tenant, *, closed=True, variables="acme=ACME_*,TIDEMILL_ACME_*;bravo=BRAVO_*"):
    settings = Settings(secrets=str(pool), source_variables=variables)
    reach = TenantScopes(ENVIRONMENT, settings, lambda: closed).scope_of(tenant)
    text = f'{FEED}headers = {{ a = "{reference}" }}\n'
    found = load_feed(text, environment=reach.variables, secrets_folder=reach.secrets_folder)
    return found.source.headers["a"]


@pytest.mark.parametrize(
    "reference",
    [
        "${ACME_TOKEN}",
        "${ACME_TOKEN:-x}",
        "${TIDEMILL_ACME_TOKEN}",
        "${TIDEMILL_PLANT}",
        "${file:POOL/acme/token}",
        "${file:POOL/acme-2/token}",
        "${file:POOL/default/token}",
        "${file:POOL/nobodys}",
        "${file:POOL/bravo/../acme/token}",
        "${file:POOL/bravo/./x/../../acme/token}",
        "${file:POOL/bravo/link}",
        "${file:POOL/bravo/folder/token}",
        "${file:POOL/bravo/loop}",
        "${file:POOL/BRAVO/token}",
        "${file:POOL/bravo/TOKEN}",
        "${file:POOL//acme//token}",
        "${file:POOL/bravo/\\u0000/../../acme/token}",
        "${file:bravo/token}",
        "${file:../acme/token}",
        "${file:}",
        "${file:/proc/self/environ}",
        "${file:/proc/self/root/POOL/acme/token}",
        "${file:POOL/bravo}",
    ],
)
def test_no_reference_of_bravos_brings_a_secret_that_is_not_its_own(reference, pool):
    with pytest.raises(FeedDefinitionError) as error:
        filled(reference.replace("POOL", str(pool)), pool, "bravo")
    assert "hush" not in str(error.value)


@pytest.mark.parametrize("reference", ["${BRAVO_TOKEN}", "${file:POOL/bravo/token}", "${file:POOL/bravo/to-own}"])
def test_its_own_come_through(reference, pool):
    assert filled(reference.replace("POOL", str(pool)), pool, "bravo") == "bravos-own"


@pytest.mark.parametrize("pattern", ["${NAME}", "${file:POOL/NAME/token}", "${file:POOL/bravo/../NAME/token}"])
def test_a_fault_is_the_same_whether_or_not_somebody_has_it(pattern, pool):
    """ACME_TOKEN is acme's and set, ACME_NONE is bound to acme and not set, OTHER_TOKEN is nobody's."""
    faults = set()
    for name in ("ACME_TOKEN", "ACME_NONE", "OTHER_TOKEN", "acme", "nobody"):
        with pytest.raises(FeedDefinitionError) as error:
            filled(pattern.replace("POOL", str(pool)).replace("NAME", name), pool, "bravo")
        faults.add(str(error.value).replace(name, "NAME"))
    assert len(faults) == 1, faults


def test_a_fault_says_how_the_operator_binds_and_names_no_other_tenant(pool):
    with pytest.raises(FeedDefinitionError) as error:
        filled("${ACME_TOKEN}", pool, "bravo")
    assert "ACME_TOKEN is not bound to the tenant 'bravo'" in error.value.message
    assert "TIDEMILL_SOURCE_VARIABLES that has the part ;bravo=BRAVO_*,ACME_TOKEN" in error.value.message
    assert "acme" not in error.value.message
    with pytest.raises(FeedDefinitionError) as error:
        filled("${file:/run/secrets/x}", pool, "bravo")
    assert f"a file below {pool}/bravo" in error.value.message


@pytest.mark.parametrize("tenant", ["", ".", "..", "acme/../bravo", "/", "Acme", "a\0b", "*"])
def test_what_is_no_tenants_name_reads_nothing(tenant, pool):
    reach = TenantScopes(ENVIRONMENT, Settings(secrets=str(pool), source_variables=""), lambda: True).scope_of(tenant)
    assert (dict(reach.variables), reach.secrets_folder) == ({}, None)


def test_the_tenant_default_reads_all_until_the_first_key_and_then_its_own(pool):
    every = {"${TIDEMILL_PLANT}": "hush-default", f"${{file:{pool}/nobodys}}": "hush-nobody"}
    own = {f"${{file:{pool}/default/token}}": "hush-default", "${TIDEMILL_TELEMETRY_URL}": "http://data"}
    for reference, value in (every | own).items():
        assert filled(reference, pool, "default", closed=False, variables="") == value
    for reference, value in own.items():
        assert filled(reference, pool, "default", variables="") == value
    for reference in (*every, f"${{file:{pool}/acme/token}}", "${ACME_TOKEN}"):
        with pytest.raises(FeedDefinitionError):
            filled(reference, pool, "default", variables="")
    assert filled("${TIDEMILL_PLANT}", pool, "default", variables="TIDEMILL_PLANT") == "hush-default"


def test_a_recipes_variable_that_another_tenant_was_given_is_no_more_the_defaults(pool):
    given = "acme=TIDEMILL_TELEMETRY_URL"
    assert filled("${TIDEMILL_TELEMETRY_URL}", pool, "acme", variables=given) == "http://data"
    with pytest.raises(FeedDefinitionError):
        filled("${TIDEMILL_TELEMETRY_URL}", pool, "default", variables=given)


def test_who_polls_nothing_holds_no_value():
    text = FEED.replace("http://x/", "http://${ACME_TOKEN}/${X:-y}") + "every = '${EVERY}'\n"
    found = load_feed(text, environment=AS_WRITTEN, secrets_folder=None).source
    assert (found.url, found.every, found.hidden) == ("http://${ACME_TOKEN}/${X:-y}", "${EVERY}", ())


def test_a_url_that_is_left_empty_polls_nothing_and_its_table_is_still_checked():
    text = FEED.replace("http://x/", "${NOWHERE:-}")
    assert load_feed(text, environment={}).source is None
    assert load_feed(text, environment={"NOWHERE": "http://x/"}).source.url == "http://x/"
    for wrong in (text + "every = 'often'\n", FEED.replace("http://x/", ""), FEED.replace("http://x/", "${NOWHERE}")):
        with pytest.raises(FeedDefinitionError):
            load_feed(wrong, environment={})


def test_a_folder_of_secrets_that_is_a_link_itself_works(pool, tmp_path):
    (tmp_path / "mounted").symlink_to(pool)
    assert filled(f"${{file:{tmp_path}/mounted/bravo/token}}", tmp_path / "mounted", "bravo") == "bravos-own"
