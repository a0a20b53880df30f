"""Reads who sends a request: the key in `Authorization: Bearer` or `X-API-Key`, else open access where that is on.

`catalog/keys.py` keeps the keys. Tenants need no check of their own here: every query names the tenant of the key, so
what belongs to another tenant is not found.
"""

from collections.abc import Mapping
from typing import Final

from tidemill.api.wrong_keys import WrongKeys
from tidemill.catalog.keys import SCOPES, KeyRing, Principal, Scope
from tidemill.errors import AccessError

OPEN_TENANT: Final = "default"
ANYONE: Final = Principal(OPEN_TENANT, frozenset(SCOPES), "open")


class Authenticator:
    """Gives the principal of request headers. `open_access`: no key is needed while none exists."""

    def __init__(self, keys: KeyRing, *, open_access: bool) -> None:
        self._keys, self._open = keys, open_access
        self._wrong = WrongKeys()

    @property
    def is_open(self) -> bool:
        """Whether a request without a key is admitted at this moment."""
        return self._open and not self._keys.ever_keys()

    def has_scope(self, headers: Mapping[bytes, bytes], scope: Scope, address: str) -> bool:
        """Whether a request that needs no key has one of the scope, or access is open.

        Raises AccessError and WrongKeysError for a wrong key.
        """
        secret = _secret(headers)
        return self.is_open if secret is None else scope in self._known(secret, address).scopes

    def authorize(self, headers: Mapping[bytes, bytes], scope: Scope, address: str) -> Principal:
        """The principal of a request from `address`; it has the scope.

        Raises AccessError for a missing or unknown key and for a key without the scope, WrongKeysError after too many
        unknown keys.
        """
        secret = _secret(headers)
        if secret is None:
            if self.is_open:
                return ANYONE
            raise AccessError("This needs a key: send `Authorization: Bearer KEY` or `X-API-Key: KEY`.")
        principal = self._known(secret, address)
        if scope not in principal.scopes:
            raise AccessError(f"This needs a key with the scope '{scope}'.", missing_scope=scope)
        return principal

    def _known(self, secret: str, address: str) -> Principal:
        principal = self._keys.authenticate(secret)
        if principal is None:
            self._wrong.count(address)
            raise AccessError("The key is not known here, or it was revoked.")
        return principal


def _secret(headers: Mapping[bytes, bytes]) -> str | None:
    """The secret in the headers (of both, that in X-API-Key), or null. Raises AccessError for another scheme."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key.decode("latin-1").strip()
    header = headers.get(b"authorization")
    if header is None:
        return None
    scheme, _, secret = header.decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise AccessError("Of the Authorization schemes only Bearer is taken: `Authorization: Bearer KEY`.")
    return secret.strip()
