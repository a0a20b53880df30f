"""API keys over any Catalog: made, listed, revoked, and checked on every request.

A secret is 32 random bytes, shown once when it is made; the catalog keeps its SHA-256 and nothing that leads back.
`KeyRing` holds all keys in memory, so that a request costs microseconds, and follows the catalog's changes.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Literal, get_args

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.catalog.tenants import check_tenant
from tidemill.errors import Fault, InputError, NotFoundError

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
KEYS_PREFIX: Final = "keys/"
CLOSED_KEY: Final = "access/closed"  # written with the first key and never removed: revoking the last one opens nothing
SECRET_PREFIX: Final = "tm_"
# An unknown key may have been made a moment ago in another process: the catalog is asked, but no more often than this,
# so that guessing keys costs the server nothing.
ASK_AGAIN_S: Final = 0.1


class KeyInfo(msgspec.Struct, frozen=True):
    """A key without its secret. `scopes` as given, in order read, write, admin. `created_ns`: ns since the epoch."""

    key_id: str
    tenant: str
    scopes: tuple[Scope, ...]
    name: str
    created_ns: int


class Principal(msgspec.Struct, frozen=True):
    """Who a request comes from. `scopes` is complete: `admin` brings `read` and `write` with it."""

    tenant: str
    scopes: frozenset[Scope]
    key_id: str


class _Kept(msgspec.Struct, frozen=True):
    info: KeyInfo
    sha256: bytes


def create_key(catalog: Catalog, tenant: str, scopes: Iterable[str], name: str = "") -> tuple[KeyInfo, str]:
    """Make a key for a tenant; returns it and its secret, which cannot be had again. Durable on return.

    Raises InputError for a tenant's name that cannot be one, no scope, or an unknown scope.
    """
    check_tenant(tenant)
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    info = KeyInfo(secrets.token_hex(8), tenant, _check_scopes(scopes), name, time.time_ns())
    kept = _Kept(info, hashlib.sha256(secret.encode()).digest())
    close_access(catalog)
    catalog.put(KEYS_PREFIX + info.key_id, msgspec.json.encode(kept), expect=0)
    return info, secret


def list_keys(catalog: Catalog, tenant: str | None = None) -> list[KeyInfo]:
    """All keys, or a tenant's, oldest first."""
    infos = [kept.info for kept in _load(catalog) if tenant in (None, kept.info.tenant)]
    return sorted(infos, key=lambda info: (info.created_ns, info.key_id))


def revoke_key(catalog: Catalog, key_id: str, tenant: str | None = None) -> None:
    """End a key, for good; running servers refuse it within a second.

    Raises NotFoundError if there is none of that id (of that tenant, if given).
    """
    for info in list_keys(catalog, tenant):
        if info.key_id == key_id and catalog.delete(KEYS_PREFIX + key_id):
            return
    raise NotFoundError(f"there is no key '{key_id[:100]}'; `tidemill key list` shows them")


def ever_keys(catalog: Catalog) -> bool:
    """Whether there was ever a key, also one that was revoked. Asks the catalog."""
    return catalog.get(CLOSED_KEY) is not None


def close_access(catalog: Catalog) -> None:
    """From now on every request needs a key, also while there is none. Durable on return; nothing undoes it."""
    catalog.put(CLOSED_KEY, b"1")


class KeyRing:
    """All keys of a catalog, in memory, following its changes until `close`. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._by_hash: dict[bytes, tuple[bytes, Principal]] = {}
        self._closed = False
        self._asked_at = 0.0
        self._end_watch: Callable[[], None] = catalog.watch(KEYS_PREFIX, self.refresh)
        self.refresh()

    def authenticate(self, secret: str) -> Principal | None:
        """Who holds this secret, or None. About 2 µs for a known key; the comparison takes the same time for any."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        principal = self._look_up(digest)
        if principal is None and time.monotonic() - self._asked_at > ASK_AGAIN_S:
            self._asked_at = time.monotonic()
            self.refresh()
            principal = self._look_up(digest)
        return principal

    def ever_keys(self) -> bool:
        """Whether there was ever a key; if not, a server on loopback is open."""
        return self._closed

    def refresh(self) -> None:
        """Read all keys again. Raises what the catalog raises."""
        with self._lock:
            self._closed = self._closed or ever_keys(self._catalog)
            self._by_hash = {kept.sha256[:8]: (kept.sha256, _principal(kept.info)) for kept in _load(self._catalog)}

    def close(self) -> None:
        """Follow the catalog no longer."""
        self._end_watch()

    def _look_up(self, digest: bytes) -> Principal | None:
        kept = self._by_hash.get(digest[:8])
        if kept is not None and hmac.compare_digest(kept[0], digest):
            return kept[1]
        return None


def _load(catalog: Catalog) -> list[_Kept]:
    return [msgspec.json.decode(entry.value, type=_Kept) for entry in catalog.list(KEYS_PREFIX)]


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
