"""API keys: what is kept of them, who they let in, and how soon changes show."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from tidemill.catalog.keys import (
    REVOCATIONS_PREFIX,
    KeyRing,
    create_key,
    list_keys,
    revoke_but_last_admin,
    revoke_key,
)
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.errors import ConflictError, InputError, NotFoundError


@pytest.fixture
def ring(catalog: SqliteCatalog) -> Iterator[KeyRing]:
    ring = KeyRing(catalog)
    yield ring
    ring.close()


def test_secret_is_random_and_only_its_hash_is_kept(catalog: SqliteCatalog, tmp_path: Path) -> None:
    secrets = {create_key(catalog, "default", ["read"])[1] for _ in range(5)}
    assert len(secrets) == 5
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in secrets:
        assert re.fullmatch(r"tm_[A-Za-z0-9_-]{43}", secret)
        assert secret[3:].encode() not in kept


def test_key_lets_its_tenant_in_with_its_scopes(catalog: SqliteCatalog, ring: KeyRing) -> None:
    assert not ring.ever_keys()
    info, secret = create_key(catalog, "acme", ("write", "read"), "meter gateway")
    principal = ring.authenticate(secret)
    assert principal is not None and ring.ever_keys()
    assert (principal.tenant, principal.scopes, principal.key_id) == ("acme", {"read", "write"}, info.key_id)
    assert (info.scopes, info.name) == (("read", "write"), "meter gateway")


def test_admin_brings_the_other_scopes_with_it(catalog: SqliteCatalog, ring: KeyRing) -> None:
    principal = ring.authenticate(create_key(catalog, "acme", ["admin"])[1])
    assert principal is not None and principal.scopes == {"read", "write", "admin"}


@pytest.mark.parametrize("secret", ["", "tm_", "tm_" + "A" * 43, "\ud800", "x" * 100_000])
def test_unknown_secret_lets_nobody_in(catalog: SqliteCatalog, ring: KeyRing, secret: str) -> None:
    create_key(catalog, "acme", ["read"])
    assert ring.authenticate(secret) is None


def test_key_revoked_by_another_process_is_refused_within_a_second(
    catalog: SqliteCatalog, ring: KeyRing, tmp_path: Path
) -> None:
    info, secret = create_key(catalog, "acme", ["read"])
    assert ring.authenticate(secret) is not None
    other = SqliteCatalog(tmp_path / "catalog.sqlite")
    revoke_key(other, info.key_id)
    other.close()
    deadline = time.monotonic() + 1.0
    while ring.authenticate(secret) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ring.ever_keys()  # revoking the last key opens nothing


def test_guessing_does_not_read_the_catalog_each_time(catalog: SqliteCatalog, ring: KeyRing) -> None:
    create_key(catalog, "acme", ["read"])
    started = time.perf_counter()
    for n in range(2_000):
        assert ring.authenticate(f"tm_{n}") is None
    assert time.perf_counter() - started < 60


def test_keys_are_listed_without_secrets_and_by_tenant(catalog: SqliteCatalog) -> None:
    one, _ = create_key(catalog, "acme", ["read"])
    two, _ = create_key(catalog, "other", ["admin"])
    assert list_keys(catalog) == [one, two]
    assert list_keys(catalog, "other") == [two]


def test_revoking_a_key_of_another_tenant_is_like_one_that_never_was(catalog: SqliteCatalog) -> None:
    info, _ = create_key(catalog, "acme", ["read"])
    for key_id, tenant in ((info.key_id, "other"), ("nothing", None), ("../x", None)):
        with pytest.raises(NotFoundError):
            revoke_key(catalog, key_id, tenant)
    revoke_key(catalog, info.key_id, "acme")
    assert list_keys(catalog) == []


@pytest.mark.parametrize("tenant", ["", "Acme", "-a", "a_b", "a/b", "ü", "a" * 64, "a\n", "a b"])
def test_tenant_that_cannot_be_one_is_refused(catalog: SqliteCatalog, tenant: str) -> None:
    with pytest.raises(InputError):
        create_key(catalog, tenant, ["read"])
    assert list_keys(catalog) == []


@pytest.mark.parametrize("scopes", [[], ["reed"], ["read", ""]])
def test_scope_that_is_none_is_refused(catalog: SqliteCatalog, scopes: list[str]) -> None:
    with pytest.raises(InputError):
        create_key(catalog, "acme", scopes)


def test_of_administrators_that_revoke_each_other_at_the_same_moment_one_stays(catalog: SqliteCatalog) -> None:
    for _ in range(10):
        keys = [create_key(catalog, "acme", ["admin"])[0].key_id for _ in range(3)]
        create_key(catalog, "acme", ["read"])
        start = threading.Barrier(len(keys))

        def revoke(key_id: str, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                revoke_but_last_admin(catalog, key_id, "acme")
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(len(keys)) as pool:
            revoked = list(pool.map(revoke, keys))
        left = [info for info in list_keys(catalog, "acme") if "admin" in info.scopes]
        assert len(left) == revoked.count(False) == 1
        for info in list_keys(catalog, "acme"):
            revoke_key(catalog, info.key_id)


def test_a_revocation_that_was_announced_and_not_ended_counts_as_one(catalog: SqliteCatalog) -> None:
    """A server that dies between the two: the key stays, can be revoked, and does not let the last one go."""
    first, second = (create_key(catalog, "acme", ["admin"])[0].key_id for _ in range(2))
    catalog.put(f"{REVOCATIONS_PREFIX}acme", msgspec.json.encode([first, "gone"]))
    with pytest.raises(ConflictError):
        revoke_but_last_admin(catalog, second, "acme")
    revoke_but_last_admin(catalog, first, "acme")
    with pytest.raises(ConflictError):
        revoke_but_last_admin(catalog, second, "acme")
    with pytest.raises(NotFoundError):
        revoke_but_last_admin(catalog, first, "acme")
