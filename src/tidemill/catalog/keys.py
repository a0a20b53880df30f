"""API keys in any Catalog: makes, lists and revokes keys, and authenticates every request.

A secret is 32 random bytes, shown once when it is made; the catalog keeps only its SHA-256. `KeyRing` holds all keys in
memory, so that a request costs microseconds, and follows the catalog's changes.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Literal, get_args

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.errors import ConflictError, Fault, InputError, NotFoundError

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
KEYS_PREFIX: Final = "keys/"
SESSIONS_PREFIX: Final = "sessions/"  # of browsers, below the id of the key that was given (`sessions.py`)
KEY_USES_PREFIX: Final = "key_uses/"  # when each key was used last (`key_uses.py`)
REVOCATIONS_PREFIX: Final = "key_revocations/"  # of a tenant: the ids of the keys that are being revoked
CLOSED_KEY: Final = "access/closed"  # written with the first API key, and kept when the last API key is revoked
SECRET_PREFIX: Final = "tm_"
# An unknown key may be one that another process made a moment ago: so the keys are read again, but at most this often,
# because guessing keys must cost the server nothing.
REFRESH_EVERY_S: Final = 0.1
FIRST_KEY: Final = (
    "This is the first key. From now on every request needs one, also those of running servers: "
    "-H 'Authorization: Bearer KEY' with curl, TIDEMILL_KEY=KEY for commands."
)
FIRST_KEY_SOURCES: Final = (
    "Sources on this machine or in a private network are not polled any more, also those of the recipes, until the "
    "server is started with TIDEMILL_SOURCE_ALLOW=127.0.0.0/8 (or your network), and feeds of your own read no "
    "variable until TIDEMILL_SOURCE_VARIABLES names it. The demonstration has no key and stops."
)
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


class KeyInfo(msgspec.Struct, frozen=True):
    """A key without its secret. `scopes` as given, in the order read, write, admin. `created_ns`: ns since the
    epoch."""

    key_id: str
    tenant: str
    scopes: tuple[Scope, ...]
    name: str
    created_ns: int


class Principal(msgspec.Struct, frozen=True):
    """The sender of a request. `scopes` is complete: `admin` includes `read` and `write`."""

    tenant: str
    scopes: frozenset[Scope]
    key_id: str


class _StoredKey(msgspec.Struct, frozen=True):
    info: KeyInfo
    sha256: bytes


def create_key(catalog: Catalog, tenant: str, scopes: Iterable[str], name: str = "") -> tuple[KeyInfo, str]:
    """Make a key for a tenant; returns the key and its secret, which is not stored. Durable on return.

    Raises InputError for an impossible name of a tenant, no scope, or an unknown scope.
    """
    _check_tenant_name(tenant)
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    info = KeyInfo(secrets.token_hex(8), tenant, _check_scopes(scopes), name, time.time_ns())
    stored = _StoredKey(info, hashlib.sha256(secret.encode()).digest())
    close_access(catalog)
    catalog.put(KEYS_PREFIX + info.key_id, msgspec.json.encode(stored), expect=0)
    return info, secret


def list_keys(catalog: Catalog, tenant: str | None = None) -> list[KeyInfo]:
    """All keys, or the keys of a tenant, oldest first."""
    infos = [stored.info for stored in _stored_keys(catalog) if tenant in (None, stored.info.tenant)]
    return sorted(infos, key=lambda info: (info.created_ns, info.key_id))


def revoke_key(catalog: Catalog, key_id: str, tenant: str | None = None) -> None:
    """Remove a key for good, with its sessions; running servers refuse it within a second.

    Raises NotFoundError if there is no key of that id (of that tenant, if given).
    """
    for info in list_keys(catalog, tenant):
        if info.key_id == key_id and catalog.delete(KEYS_PREFIX + key_id):
            for entry in catalog.list(f"{SESSIONS_PREFIX}{key_id}/"):
                catalog.delete(entry.key)
            catalog.delete(KEY_USES_PREFIX + key_id)
            return
    raise NotFoundError(f"there is no key '{key_id[:100]}'; `tidemill key list` shows them")


def revoke_but_last_admin(catalog: Catalog, key_id: str, tenant: str) -> None:
    """As `revoke_key`, of a key of a tenant that is not its last one with the scope `admin`: of two that revoke each
    other at the same moment one stays.

    Each revocation is announced first, by compare-and-set, with those that others have announced and not ended: their
    keys count as revoked. Raises NotFoundError, ConflictError for the last key with the scope `admin`.
    """
    while True:
        announced = catalog.get(REVOCATIONS_PREFIX + tenant)
        infos = {info.key_id: info for info in list_keys(catalog, tenant)}
        if key_id not in infos:
            raise NotFoundError(f"There is no key '{key_id[:100]}'; GET /v1/keys lists them.")
        others = [] if announced is None else msgspec.json.decode(announced.value, type=list[str])
        going = {key_id, *(other for other in others if other in infos)}
        if not any("admin" in info.scopes for info in infos.values() if info.key_id not in going):
            raise ConflictError(
                "This is the last key with the scope 'admin': without it nobody could make another. Make one first, or "
                f"run `tidemill key revoke {key_id}` at the server."
            )
        revision = 0 if announced is None else announced.revision
        with suppress(ConflictError):  # another revocation came between: look again
            catalog.put(REVOCATIONS_PREFIX + tenant, msgspec.json.encode(sorted(going)), expect=revision)
            return revoke_key(catalog, key_id, tenant)


def ever_keys(catalog: Catalog) -> bool:
    """Whether a key was ever made, also one that is revoked. Reads the catalog."""
    return catalog.get(CLOSED_KEY) is not None


def close_access(catalog: Catalog) -> None:
    """Make every request need a key from now on, also while there is no key. Durable on return, and for good."""
    catalog.put(CLOSED_KEY, b"1")


class KeyRing:
    """All keys of a catalog, in memory, following its changes until `close`. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._by_hash: dict[bytes, tuple[bytes, Principal]] = {}
        self._by_id: dict[str, tuple[KeyInfo, Principal]] = {}
        self._used_ns: dict[str, int] = {}
        self._closed = False
        self._refreshed_at = 0.0
        self._end_watch: Callable[[], None] = catalog.watch(KEYS_PREFIX, self.refresh)
        self.refresh()

    def authenticate(self, secret: str, *, is_use: bool = True) -> Principal | None:
        """The holder of this secret, or None; counts as a use of the key where it `is_use`. About 2 µs for a known key;
        the comparison takes constant time."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        principal = self._look_up(digest)
        if principal is None and time.monotonic() - self._refreshed_at > REFRESH_EVERY_S:
            self._refreshed_at = time.monotonic()
            self.refresh()
            principal = self._look_up(digest)
        if principal is not None and is_use:
            self.note_use(principal.key_id)
        return principal

    def note_use(self, key_id: str) -> None:
        """Note that a key was used now, by itself or by one of its sessions."""
        self._used_ns[key_id] = time.time_ns()

    def uses(self) -> dict[str, int]:
        """When keys were used last in this process, by their ids, in ns since the epoch."""
        return dict(self._used_ns)

    def principal(self, key_id: str) -> Principal | None:
        """The holder of the key of this id, or None where there is none, or none any more."""
        return self._by_id.get(key_id, (None, None))[1]

    def info(self, key_id: str) -> KeyInfo | None:
        """The key of this id, or None."""
        return self._by_id.get(key_id, (None, None))[0]

    def ever_keys(self) -> bool:
        """Whether a key was ever made; if not, a server on loopback is open."""
        return self._closed

    def refresh(self) -> None:
        """Read all keys again. Raises what the catalog raises."""
        with self._lock:
            self._closed = self._closed or ever_keys(self._catalog)
            keys = [(stored, _principal(stored.info)) for stored in _stored_keys(self._catalog)]
            self._by_hash = {stored.sha256[:8]: (stored.sha256, principal) for stored, principal in keys}
            self._by_id = {stored.info.key_id: (stored.info, principal) for stored, principal in keys}
            for key_id in self._used_ns.keys() - self._by_id.keys():
                self._used_ns.pop(key_id, None)

    def close(self) -> None:
        """Stop following the catalog."""
        self._end_watch()

    def _look_up(self, digest: bytes) -> Principal | None:
        sha256, principal = self._by_hash.get(digest[:8], (b"", None))
        return principal if hmac.compare_digest(sha256, digest) else None


def _stored_keys(catalog: Catalog) -> list[_StoredKey]:
    return [msgspec.json.decode(entry.value, type=_StoredKey) for entry in catalog.list(KEYS_PREFIX)]


def _check_tenant_name(name: str) -> None:
    """Raise InputError for a name that cannot be a tenant's; names are short, to fit in keys, paths and hosts."""
    if _TENANT.fullmatch(name) is None:
        message = (
            f"'{name[:100]}' cannot be a tenant's name: 1 to 63 of a-z, 0-9 and -, starting with a letter or digit"
        )
        raise InputError(message, (Fault("tenant", "tenant_name", message),))


def _principal(info: KeyInfo) -> Principal:
    scopes = SCOPES if "admin" in info.scopes else info.scopes
    return Principal(info.tenant, frozenset(scopes), info.key_id)


def _check_scopes(scopes: Iterable[str]) -> tuple[Scope, ...]:
    given = set(scopes)
    unknown = sorted(given.difference(SCOPES))
    if unknown or not given:
        message = f"scopes are one or more of {', '.join(SCOPES)}" + (f", not '{unknown[0][:100]}'" if unknown else "")
        raise InputError(message, (Fault("scopes", "scope", message),))
    return tuple(scope for scope in SCOPES if scope in given)
